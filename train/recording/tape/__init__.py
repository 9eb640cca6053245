"""What every tensor of a run is.

``values`` is the form: linear maps of rows. ``gathers`` follows views and stacks by the numbers of
their elements, ``elementwise`` and ``layers`` the linear operations, by the names in
``operations``; ``buffers`` writes in place. ``neurons`` reads the rule of a snnTorch neuron;
``follow`` holds one reading of a whole run, ``seen`` the values in it. ``returned`` walks what a
module returns.
"""
