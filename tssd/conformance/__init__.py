"""A conformance suite for readers of NIR, for any project: ``python -m tssd.conformance READER``.

``suite``  the cases: a graph, what enters it, what every firing node of it sends
``judge``  what a reader made of a case: identical, differs, not read
``__main__``  the command
"""
