"""The bundle: the folder on disk that every later command reads.

``folder`` writes and reads it, ``manifest`` is its list of contents, versions and hashes,
``golden`` a few inputs with what every population did, ``place`` says where a bundle may go.
"""
