"""Sets of variants of params.yaml as DVC experiments: planned, run, and compared in one table."""
