"""What chips were measured to take, and chip files made from it.

``runs.csv`` is the one table of measured runs; ``table`` reads it (or a user's log of the same
columns). ``model`` says what a chip file predicts for a row, ``fit`` finds the prices that the rows
support and how well they do on rows left out, ``chip_text`` writes them into a chip file.
"""
