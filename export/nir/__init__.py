"""NIR: two kinds of graph, two rooms, and a way between.

``integers/``  an IntNetwork of ours in plain NIR plus a private group, bit for bit and back
``graphs/``    any graph by anyone, read strictly, stepped by a named platform's rules
``from_float``  a FloatNetwork as such a graph
``event_data``  what nodes sent, in NIR's own form, out and in
"""
