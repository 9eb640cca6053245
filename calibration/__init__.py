"""Calibration: from a float network to the integers that are deployed.

The definition lies on the ground: ``integer`` (arithmetic), ``precision`` (widths), ``int_network``
(the value), ``neuron`` and ``synapse`` (what one step does), ``encode`` (what enters), ``simulate``
(the reference run), ``tally`` (its counts), ``layer`` (one population at a scale), ``serial``.

``quantizing/``  FloatNetwork -> IntNetwork: fold, observe, scale, round
``comparing/``   what that changed, layer by layer, as contracts
"""
