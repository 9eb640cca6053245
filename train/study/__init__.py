"""Studies: training methods compared run by run, seed by seed.

``runs`` makes what is missing of a study, ``report`` turns it into tables and a figure.
"""
