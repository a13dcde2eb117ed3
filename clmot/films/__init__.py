"""One's own films: a video beside its boxes stands for a sequence of MOTChallenge's, wherever one may stand."""
