"""NIR in: any graph of the supported nodes, read strictly, run exactly, turned into networks."""
