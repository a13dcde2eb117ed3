"""One's own films: a video with its boxes beside it, in any place where a sequence may be."""
