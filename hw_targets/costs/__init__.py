"""Costs: counts first, joules last.

``counters`` are whole events per population and core, ``energy`` multiplies them by a chip's table,
``programs`` counts what a neuron's program does, ``bound`` is a lower bound of the step's time.
"""
