"""The report: what was run, what it did, what it would cost; as JSON, HTML and Markdown."""
