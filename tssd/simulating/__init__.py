"""Simulating a bundle on a chip.

``simulation`` is one run, ``simulation_report`` brings it into the bundle's report, ``sweep`` is
one bundle on many chips, by the processes of ``workers``.
"""
