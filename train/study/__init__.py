"""Studies: training methods compared run by run, seed by seed.

``runs`` makes what is missing of a study, ``few_bits`` names the conditions of one with bits,
``report`` turns it into tables and a figure.
"""
