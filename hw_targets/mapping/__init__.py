"""Mapping: which neuron sits on which core, and whether it may.

``choices`` are the user's, ``fanout`` says whom a neuron reaches, ``memory`` what a block takes,
``rules`` what a chip allows, ``partition`` cuts populations into blocks, ``mesh`` gives them
places, ``placement`` is the result; ``manual`` reads one by hand, ``fit`` explains. ``routes`` is
the way of a message.
"""
