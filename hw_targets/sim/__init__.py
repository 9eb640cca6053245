"""The simulator: when things happen on the chip, never what happens."""
