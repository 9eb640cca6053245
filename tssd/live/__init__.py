"""Live: the chain from Python, objects in and small printable objects out.

``exporting`` is ``tssd.export(module, samples, ...)``, which needs torch; ``bundles`` the
``Exported`` that it returns and ``open_bundle`` makes of a folder, ``comparing`` several side by
side; ``graphs`` takes NIR graphs in memory; ``tracing`` is one
sample's spikes and membranes, ``sweeping`` sweeps and studies, ``plots`` draws onto axes;
``tables`` is how all of them show themselves: lines, HTML in a notebook, a pandas frame.
"""
