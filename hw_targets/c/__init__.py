"""The C engine: the network as plain C99, compiled here and run as a process of its own."""
