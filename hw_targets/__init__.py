"""Targets: chips as files, placement, counters and energy, engines.

``chips.load_chip(name)`` reads a chip; ``placement.place`` puts a network on it; ``counters.count``
and ``energy.price`` say what it costs; ``target.TARGETS`` names the engines that can run it.
"""
