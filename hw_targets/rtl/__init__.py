"""The open core: the machine of docs/microarchitecture.md as hardware.

``units`` are its circuits.
"""
