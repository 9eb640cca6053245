"""Recording: a user's snnTorch module read from what it does while it runs.

    module, samples --record--> Recording --to_float--> FloatNetwork --compare--> ModuleAgreement

``watch`` runs the author's module by its own code and sees every operation; ``tape/`` says what
each tensor is: a linear map of what entered and of what neurons sent. ``feeding`` hands samples and
states in; ``steps`` finds the step that repeats and what differs where none does; ``outputs`` says
what is returned, ``describe`` what enters, ``checks`` what a module must be. ``record`` puts these
together into a ``recording``.
``network/`` turns one step into populations and projections, ``convert`` is its way in. ``agree``
runs the module again, on more samples, and compares every neuron in every step with the network;
``answers`` is that run.
"""
