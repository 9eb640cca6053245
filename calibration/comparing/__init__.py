"""Comparing: what folding and quantization changed.

``agreement`` holds the contracts (folded = trained, integers follow the float network),
``sensitivity`` what each layer's rounding costs alone, ``kept`` the bits that are left and what a
user must know, ``levels`` what rounding the input costs.
"""
