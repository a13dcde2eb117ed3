"""Zips and folders, read safely, and the sequences in them."""
