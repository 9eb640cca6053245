"""Targets: chips as files, placement, engines."""
