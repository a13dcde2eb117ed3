"""Tracking by detection: motion, costs, assignment, the life of tracks, and the pipeline that feeds them."""
