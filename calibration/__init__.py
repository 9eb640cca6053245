"""Calibration: from a float network to the integers that are deployed."""
