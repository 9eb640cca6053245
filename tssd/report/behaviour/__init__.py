"""What a network does on its samples and its chip, beyond counts: the page's maps and courses.

``model`` are the values, a part of the report's; ``observe`` makes them of activities and of a
placement, ``distributions`` of weights and membranes; ``view`` and ``profiles`` turn them into what
the page draws, ``by_layer`` is what was found of each layer, ``layers`` says what quantization did
to it, ``headline`` is the verdict in one line.
"""
