"""Losses: pure functions of logits and spikes.

``distill`` holds temporal and spatial self-distillation, ``regularise`` the penalties that trade
accuracy for synaptic operations and for few bits.
"""
