"""Training: data, networks with weak-classifier heads, self-distillation, stripping."""
