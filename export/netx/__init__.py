"""netx, the HDF5 format of lava-dl (``network.net``).

``rules`` says what the format can hold (with ``delays``, one matrix for several projections),
``write`` writes an IntNetwork, ``read`` reads layers and ``to_integers`` makes them an IntNetwork.
"""
