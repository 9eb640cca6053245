"""The budget: what a network may cost, in bits, operations and steps, and what that buys.

``costs`` says what integers take on a chip, ``widths`` finds the bits of each layer (``of_run``: of
a trained run), ``early_exit`` the steps that a sample needs (``of_bundle``: of a bundle),
``pruning`` the channels that a run keeps (``channels``: what a network is without some).
"""
