"""Data: what a network is trained and judged on, as arrays with fixed splits.

``data_sets`` is the door: a name becomes a ``Dataset``. Behind it ``image_data`` and ``event_data``
read what is on disk through ``data_files`` (places and hashes), ``idx``, ``pictures`` and
``event_files`` (one function a format); ``events`` is a recording and how it is cut into frames,
``camera`` simulates one, ``splits`` is the value that the loop reads.
"""
