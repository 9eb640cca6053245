"""Hand-over: the float network without torch that every later stage starts from.

``float_network`` is the value: populations and projections in float64. ``float_layers`` says what
one projection delivers and ``float_run`` runs the whole, the reference of calibration;
``float_serial`` and ``float_file`` write it down. ``compose`` says residual sums and biases by
plain projections, ``costs`` counts what a run did, ``devices`` says where one can run.
"""
