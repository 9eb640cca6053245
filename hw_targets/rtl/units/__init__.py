"""The open core's units in Amaranth, one module each: ``neuron`` (the integer neuron), ``queue``,
``neuron_stage``, ``spike_out``, ``axon_in``, ``synapse_stage``, ``core`` (memories and host port),
``router``, ``mesh`` (routers, cores, barrier). ``docs/microarchitecture.md`` says what each does;
``widths`` holds the sizes that all of them share.
"""
