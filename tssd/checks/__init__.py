"""The checks: what a bundle must satisfy, and the report that says so.

``verification`` is `tssd verify`; ``engines`` runs each engine, ``verify`` compares two of them,
``evaluation`` keeps what all did. ``measured`` is a log from silicon, ``reporting`` prices the
whole. ``diagnosis`` says what can run on this machine.
"""
