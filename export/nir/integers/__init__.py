"""Our integers as ``network.nir``: plain NIR that makes sense alone, and the exact model beside it.

``graph`` builds the plain part from ``nodes``, ``metadata`` says what NIR has no field for,
``write`` and ``read`` are the file, ``roundtrip`` the contracts between them.
"""
