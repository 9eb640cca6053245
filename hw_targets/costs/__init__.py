"""Costs: counts first, joules last.

``counters`` are whole events per population and core, ``energy`` multiplies them by a chip's table,
``bound`` is a lower bound of the step's time.
"""
