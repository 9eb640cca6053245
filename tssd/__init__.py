"""tssd: from a self-distilled spiking network to a neuromorphic chip.

Importing the package loads neither torch nor numba; each stage is imported on use.
"""

__version__ = "0.1.0"
