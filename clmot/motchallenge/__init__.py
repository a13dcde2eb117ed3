"""The MOTChallenge format: sequences, annotation tables, classes, splits and archives."""
