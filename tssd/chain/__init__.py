"""The chain: from a run, a module or a file to a bundle, and back.

``pipeline`` takes a run folder, ``float_import`` a graph or a user's module (``users_module``),
``importing`` any exchange file. What a user brings: ``module_source`` (a module) with ``weights``
(their file), ``user_data`` (samples of any kind) and ``user_samples`` (samples for a known shape).
``entering`` says how samples enter a bundle's network,
``conversion`` writes one file, ``torch_module`` brings a bundle back to torch.
"""
