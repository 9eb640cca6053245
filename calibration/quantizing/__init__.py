"""Quantizing: a float network becomes integers.

In the order of the work: ``checks`` (what may enter), ``fold`` (normalisation, bias and pooling
into weights), ``observe`` (what currents and membranes reach), ``scales`` (one scale per
population), ``quantize`` (the integers and their constraints). ``front_end`` computes a first
layer off-chip.
"""
