"""Chips: limits, timings and energies, each number with unit, source and kind.

``spec`` is the value, ``chip_file`` reads the TOML, ``chips`` finds it by name; the files lie in
``loihi1/`` and ``loihi2/``. ``chip_copy`` puts a user's chip into a bundle,
``chip_page`` prints all, ``prices`` says what a fitted price pays for, ``sizes`` says what is too
large for any machine.
"""
