"""Networks: torch modules that are trained, and how they become a FloatNetwork.

``stages`` is the list a network is built from, ``models`` the built-in lists, ``network`` the
module with its weak heads. ``neuron`` is the recurrence, ``snn_leaky`` the same in snnTorch's
class, ``fused``, ``lif_kernels`` and ``rows`` the fast form. ``user_module`` trains a user's own
class. ``coding`` turns pixels into currents; ``strip`` removes the heads and hands over.
``distributed`` is what processes of one run exchange.
"""
