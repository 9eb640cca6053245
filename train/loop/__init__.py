"""The loop: one training run from its first batch to its checkpoint.

Start at ``loop``; ``step`` is one update, ``schedule`` its learning rate, ``augment`` and
``autoaugment`` its pictures. ``evaluate`` measures accuracy at every number of steps, ``average``
makes the network that is deployed, ``folder`` says whose the run folder is, ``checkpoint`` and
``record`` write what is kept, ``memory`` looks at what the process takes.
"""
