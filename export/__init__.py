"""Export: the integer network in the files other tools read."""
