"""What Git knows of the project, asked through its own commands."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from clmot.errors import InputError


def git(*arguments: str) -> str:
    """The output of a Git command in the current folder.

    Raises:
        InputError: Git is absent or refuses.
    """
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, encoding="utf-8", errors="surrogateescape", check=False
        )
    except OSError as error:
        raise InputError(f"git cannot be started ({error}): install it, experiments are Git commits.") from None
    if done.returncode:
        said = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise InputError(f"`git {' '.join(arguments[:2])}` failed ({said}): experiments are made from a Git commit.")
    return done.stdout


def tracked(paths: Iterable[str]) -> list[str]:
    """Files at or below the paths that Git tracks (added ones too), relative to the current folder, sorted."""
    return _files("--cached", paths)


def untracked(paths: Iterable[str]) -> list[str]:
    """Files at or below the paths that Git neither tracks nor ignores, sorted."""
    return _files("--others", paths)


def modified(paths: Iterable[str], revision: str = "HEAD", other: str | None = None) -> list[str]:
    """Tracked files at or below the paths that differ between `revision` and `other` (None: what is in the folder)."""
    revisions = [revision, *([other] if other else [])]
    return _split(git("diff", "--name-only", "--relative", "-z", *revisions, "--", *paths))


def file_at(revision: str, path: str) -> str | None:
    """The text of a file (relative to the current folder) in a commit; None where the commit does not have it."""
    if not _split(git("ls-tree", "--name-only", "-z", revision, "--", path)):
        return None
    return git("show", f"{revision}:./{path}")


def experiment_commits() -> dict[str, tuple[str, str]]:
    """`{name: (commit, commit it derives from)}` of DVC's finished experiments; of equal names the newest."""
    listed = git("for-each-ref", "--sort=committerdate", "--format=%(refname) %(objectname)", "refs/exps")
    found = {}
    for line in listed.splitlines():
        reference, commit = line.split(" ")
        parts = reference.split("/")  # refs/exps/<2 digits of the baseline>/<38 digits>/<name>
        if len(parts) == 5 and len(parts[2]) == 2 and len(parts[3]) == 38:
            found[parts[4]] = (commit, parts[2] + parts[3])
    return found


def _files(which: str, paths: Iterable[str]) -> list[str]:
    paths = list(paths)
    return sorted(set(_split(git("ls-files", "-z", which, "--exclude-standard", "--", *paths)))) if paths else []


def _split(text: str) -> list[str]:
    return [item for item in text.split("\0") if item]
