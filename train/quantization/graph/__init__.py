"""Few bits for any network that can be handed over: residual ones, a user's own module.

``layers``   what the integers of one population follow from, and which weights are wiring
``integers`` steps, limits of the chip's fields, whole numbers with the gradient of the floats
``neurons``  the integer neuron over all steps: leaks, synaptic memory, every reset, loops
``network``  QuantizedGraph: a FloatNetwork whose weights and biases are trained in integers
``whole``    what leaves it: a FloatNetwork of whole numbers, and its spikes, to be compared

Normalisation is folded before the training begins and its moments stay as they are.
"""
