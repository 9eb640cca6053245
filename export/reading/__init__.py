"""Reading: what every reader of a foreign file does before it believes it.

``stand_in`` tells a pointer, a page or text from the file that was meant, ``hdf5`` opens HDF5,
``arrays`` ``.npz`` and ``.npy``, ``header_check`` a JSON header, ``geometry`` asks whether shapes
fit. ``tssd.guard`` reads first in a process with limits of time and memory.
"""
