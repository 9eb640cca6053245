"""Comparison: bundles, chips, sweep points, studies and reports side by side.

``subject`` is one of them with its figures and what these are about; ``reading`` makes subjects of
what a path holds, ``chips`` by simulating a bundle on several chips; ``verdicts`` says column by
column what can be compared and which is best; ``dense`` prices the same weights as a dense network
(``dense_energy.toml``); ``tables`` and ``page`` show it.
"""
