"""A report for a paper: its charts as figures, its tables as CSV, LaTeX and Markdown.

``style`` is how figures look; ``bars``, ``maps`` and ``spread`` draw one chart each onto axes;
``figures`` and ``tables`` write every one of a report into a folder.
"""
