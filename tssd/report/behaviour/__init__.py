"""What a network does on its samples and its chip, beyond counts: the page's maps and courses.

``model`` are the values, a part of the report's; ``observe`` makes them of activities and of a
placement, ``distributions`` of weights and membranes; ``view`` and ``profiles`` turn them into what
the page draws, ``layers`` says what quantization did to each layer, ``headline`` is the verdict in
one line.
"""
