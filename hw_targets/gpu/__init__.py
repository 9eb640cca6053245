"""The integer network in torch, on ``cpu`` or ``cuda``: exact by proof, layer by layer."""
