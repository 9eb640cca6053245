"""Targets: chips as files, where a network sits on them, what it costs, and what runs it.

``chip/``     a chip is a TOML file: ``chips.load_chip(name)``
``mapping/``  which neuron sits on which core: ``placement.place``
``costs/``    counters, energy, the lower bound of time: ``counters.count``, ``energy.price``
``gpu/``, ``onnx/``, ``lava/``, ``sim/``  engines that must equal ``calibration.neuron``
``rtl/``      the open core: the simulated machine as hardware
``engines``  the register of engines: what each needs, how it is opened, what it records
"""
