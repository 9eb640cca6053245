"""Live: the chain from Python, objects in and small printable objects out.

``exporting`` is ``tssd.export(module, samples, ...)`` and the ``Exported`` that it returns;
``tables`` is how those show themselves: lines, HTML in a notebook, a pandas frame.
"""
