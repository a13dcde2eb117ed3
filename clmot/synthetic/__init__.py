"""Drawn street scenes in MOTChallenge's layout: `write_archive(path, benchmark, seed, frames)`."""

from clmot.synthetic.archive import write_archive

__all__ = ["write_archive"]
