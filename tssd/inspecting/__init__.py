"""Looking into files: nothing here runs a network.

``inspection`` describes a file, ``deployability`` asks every target, ``difference`` compares two,
``graph_drawing`` draws one.
"""
