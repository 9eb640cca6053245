"""ONNX in standard operators.

``graph`` writes an IntNetwork and ``float_graph`` a FloatNetwork; both stand on ``layers`` (the
neuron), ``synapse`` (what a projection delivers), ``ranges`` (which types are exact) and
``builder``. ``read`` says what is in a file.
"""
