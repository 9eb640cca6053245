"""The simulator: when things happen on the chip, never what happens.

``engine`` is the door: it runs a placed network. ``program`` and ``functional`` find its spikes,
``plan`` and ``machine`` lay it out for ``timing``, which counts cycles, ``gates`` being the links
between chips; ``kernels/`` is the compiled part. ``streaming`` feeds it a few samples at a time.
``record`` and ``run_file`` are its files, ``summary`` its figures, ``trace`` its picture.
"""
