"""One step of a module as populations and projections.

``choose`` decides what is read; ``needed`` which layers that takes; ``maps`` makes one projection
of a linear map; ``populations`` a population of a neuron's rule; ``readouts`` what the readout
integrates; ``swap`` puts neurons in front of maximum pools.
"""
