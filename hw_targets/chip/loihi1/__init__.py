"""Chip files of the Loihi 1 family."""
