"""Lava, Intel's framework for Loihi: run the exported network in it and compare.

Lava 0.10 imports on Python 3.10 only, so it lives in an environment of its own
(``environment``); files and one subprocess with a time limit are the only contact (``engine``).
``runner/`` holds the scripts that Python 3.10 runs there; nothing of tssd is imported by them.
"""
