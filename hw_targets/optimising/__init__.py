"""Placement by the model: more cores than needed, where they buy time or energy.

``goal``      what a placement is for
``workload``  what a mean step brings to each neuron, wherever it sits
``cuts``      ways to cut a population, and what the stages of their cores then take
``balance``   the cuts that keep every core below a step time, with the fewest cores or messages
``optimise``  candidates, priced by counters and bound, proved on the simulated chip
"""
