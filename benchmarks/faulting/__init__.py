"""Faulting: the parts of the campaign of faults (``benchmarks.faults``).

``faults`` are what can go wrong and when, ``steps`` counts what a command does to the file system
and makes the fault happen there, ``nursery`` runs a command in a fork of a warm process, ``jobs``
are the commands with what they read and write, ``judging`` says whether all that is left is whole.
"""
