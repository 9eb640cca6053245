"""Reading: what every reader of a foreign file does before it believes it.

``guard`` reads first in a process with limits of time and memory, ``arrays`` opens ``.npz`` and
``.npy``, ``header_check`` a JSON header, ``geometry`` asks whether shapes fit.
"""
