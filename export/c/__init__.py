"""The network as plain C99: no allocation, no floats, one ``step`` and one ``run``.

``widths`` decides the types (what sums can reach), ``tables`` packs weights and parameters at their
bits, ``maps`` writes a projection and ``source`` the whole as text; ``folder`` writes the files.
"""
