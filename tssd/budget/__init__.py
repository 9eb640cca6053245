"""The budget: what a network may cost, in bits, operations and steps, and what that buys.

``costs`` says what integers take on a chip, ``widths`` finds the bits of each layer.
"""
