"""Training with few bits: the integers that are deployed, in the forward pass.

``widths``   what the chip holds, as a value, and how many bits which stage gets
``entering`` the levels on which samples enter
``weights``  weights rounded on a step per channel, and how the step follows them
``neurons``  the integer neuron over all steps, with the gradient of the float one
``kernels``  its forward pass on the CPU
``stage``    a stage's integers, from its weights, normalisation and step
``network``  QuantizedNet: a SpikingNet whose deployed stages run in integers
``whole``    what leaves it: a FloatNetwork of whole numbers, and its spikes, to be compared
``graph/``   the same for any other network: residual ones, users' modules

The neuron's definition is that of ``calibration``, which this stage may not import: the kernels
here are a peer of it, held against it spike for spike by tests and after every training.
"""
