"""Kernels: the compiled inner loops of the simulator, over flat arrays of integers.

``layout`` names the words of the machine's state, ``jit`` compiles, ``event_queue`` orders events,
``kernel`` is the machine of `docs/microarchitecture.md`, ``steps_kernel`` its steps;
``functional_kernel`` is the integer neuron, event by event; ``threads`` counts processors.
"""
