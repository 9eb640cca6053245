"""Comparing: what folding and quantization changed.

``folding`` holds the contract that the folded network answers as the trained one does,
``agreement`` that the integers follow the float network, ``paired`` what is lost between two
answers to the same samples, ``sensitivity`` what each layer's rounding costs, ``kept`` the bits
that are left and what a user must know, ``levels`` what rounding the input costs, ``drift`` how far
firing rates have moved, ``firing`` what became of a layer's spikes, ``spread`` how weights and
membranes are distributed (in the bins of ``histogram``), ``wraps`` how often a current left its 24
bits.
"""
