"""Graphs by anyone: read strictly, run exactly, turned into networks.

``graph`` is the value; ``read`` takes it from a file. ``profiles`` says how a platform (norse,
sinabs, snntorch, ...) steps it, ``run`` steps it, ``thresholds`` recognises resets, ``to_float``
makes a FloatNetwork (``ways`` its projections; ``shapes``, ``names``). ``write`` puts a graph into
a file; ``dialects`` and ``readers`` rewrite it for a platform that reads otherwise.
"""
