"""Scoring tracks against identities: CLEAR, identity and HOTA metrics, official preprocessing, the table."""
