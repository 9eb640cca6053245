"""Export: networks in the files that other tools read, and back.

Each room imports only those above it.

``reading/``  foreign files without trust: limits, arrays, headers, geometry
``nir/``      NIR: our integers (``integers/``) and anyone's graphs (``graphs/``)
``netx/``     lava-dl's ``.net``
``onnx/``     ONNX, integer and float
``bundle/``   the folder that `tssd export` writes
"""
