"""Where a benchmark's archive comes from: drawn here, found in a folder, or fetched from a server.

Whatever the source, the result is the path of one zip in an official layout, so that everything after it is
the same for synthetic and for real data.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from clmot.errors import InputError
from clmot.files import content_hash, dvc_root, staged_file
from clmot.progress import progress

SYNTHETIC = "synthetic"
_KNOWN = "'synthetic', a folder, or a file://, http:// or https:// address that holds MOT15.zip and so on"
_TIMEOUT = (20, 60)  # seconds to connect, and between two pieces of data
_BLOCK = 1 << 20


def archives_dir() -> Path:
    """Where drawn and fetched archives are kept: outside the outs, so that no changed param loses them."""
    return dvc_root() / ".archives"


def fetch_archive(
    source: str, benchmark: str, cache_dir: str | os.PathLike[str], seed: int, synthetic_frames: int
) -> Path:
    """The path of a benchmark's zip.

    Args:
        source: `synthetic`; a folder (a relative one starts where the project is, also for experiments that
            run in a copy of it) or a `file://` address, whose zip is used in place; or an `http(s)://`
            address, whose zip is fetched once and kept in `cache_dir`.
        benchmark: `MOT15`, `MOT17` or `MOT20`; the zip is `<benchmark>.zip`.
        cache_dir: where drawn and fetched archives are kept.
        seed: of the synthetic films.
        synthetic_frames: frames in each of them.

    Raises:
        InputError: the source is none of these, does not hold the zip, or cannot be reached.
    """
    cache_dir = Path(cache_dir)
    if source == SYNTHETIC:
        return _drawn(benchmark, cache_dir, seed, synthetic_frames)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", source)
    if scheme is None:
        return _in_folder((dvc_root() / Path(source).expanduser()).resolve(), source, benchmark)
    if scheme.group(1).lower() in ("http", "https"):
        return _fetched(source, benchmark, cache_dir)
    if scheme.group(1).lower() == "file":
        parts = urlsplit(source)
        if parts.netloc not in ("", "localhost"):
            raise InputError(f"data.source '{source}' names a host: a local address is file:///folder.")
        return _in_folder(Path(unquote(parts.path)), source, benchmark)
    raise InputError(f"data.source '{source}' cannot be used: expected {_KNOWN}.")


def _drawn(benchmark: str, cache_dir: Path, seed: int, frames: int) -> Path:
    """The synthetic archive; drawn anew whenever the drawing code changed."""
    from clmot.data import synthetic

    package = Path(next(iter(synthetic.__path__)))
    modules = sorted(package.rglob("*.py"))
    # Only the modules count: compiled files beside them differ from run to run.
    code = content_hash(*(part for m in modules for part in (m.relative_to(package).as_posix(), m)))
    stem = f"synthetic-{benchmark}-seed{seed}-frames{frames}"
    path = cache_dir / f"{stem}-{code[:12]}.zip"
    if not path.exists():
        with staged_file(path) as aside:
            synthetic.write_archive(aside, benchmark, seed, frames)
        for older in sorted(cache_dir.glob(f"{stem}-*.zip")):
            if older != path:
                older.unlink(missing_ok=True)
    return path


def _in_folder(folder: Path, source: str, benchmark: str) -> Path:
    """`<benchmark>.zip` in a folder, used where it is."""
    path = folder / f"{benchmark}.zip"
    if path.is_file():
        return path
    if folder.is_file():
        raise InputError(f"data.source '{source}' is a file: name the folder that holds {benchmark}.zip.")
    if not folder.is_dir():
        if source == "official":
            raise InputError(f"data.source 'official' is not offered: expected {_KNOWN}.")
        close = difflib.get_close_matches(source, [SYNTHETIC], n=1, cutoff=0.7)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        raise InputError(
            f"data.source '{source}' is no folder{hint}: {folder} does not exist; expected {_KNOWN}."
        )
    zips = sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() == ".zip")
    held = f"it has {', '.join(zips[:5])}{' ...' if len(zips) > 5 else ''}" if zips else "it has no zip"
    raise InputError(
        f"{path} does not exist ({held}): put the archive there, change 'data.source', "
        f"or take {benchmark} out of 'data.benchmarks'."
    )


def _fetched(source: str, benchmark: str, cache_dir: Path) -> Path:
    """The archive of a server, fetched once."""
    try:
        parts = urlsplit(source)
        if not parts.hostname:
            raise ValueError("no host")
    except ValueError:
        raise InputError(f"data.source '{source}' is no valid address: expected {_KNOWN}.") from None
    address = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{benchmark}.zip"))
    # A password in the address belongs neither on the screen nor in the logs.
    shown = urlunsplit(urlsplit(address)._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
    path = cache_dir / f"{benchmark}-{content_hash(address)[:12]}.zip"
    if not path.exists():
        with staged_file(path) as aside:
            _download(address, shown, aside, benchmark)
    return path


def _download(address: str, shown: str, target: Path, benchmark: str) -> None:
    """Stream a zip to `target` and check that it is whole."""
    import requests  # type: ignore[import-untyped,unused-ignore]  # only this source needs a network

    received = 0
    try:
        # Compression on the way would make Content-Length mean something else.
        with requests.get(
            address, stream=True, timeout=_TIMEOUT, headers={"Accept-Encoding": "identity"}
        ) as response:
            if response.status_code != 200:
                raise InputError(
                    f"{shown} answered {response.status_code} {response.reason}: check 'data.source' "
                    f"(it should hold {benchmark}.zip) and run again."
                )
            expected = _content_length(response.headers.get("Content-Length"))
            blocks = progress(
                response.iter_content(_BLOCK),
                f"fetch {benchmark}",
                total=None if expected is None else -(-expected // _BLOCK),
                unit="MiB",
            )
            with target.open("wb") as stream:
                for block in blocks:
                    if not received and not block.startswith(b"PK"):
                        kind = response.headers.get("Content-Type", "of unknown type")
                        raise InputError(
                            f"{shown} is not a zip archive (the server sent {kind}): open the address in a "
                            "browser, mend 'data.source' and run again."
                        )
                    received += len(block)
                    stream.write(block)
    except requests.exceptions.Timeout:
        raise InputError(f"{shown} did not answer in time: run again later, or use another source.") from None
    except requests.exceptions.RequestException as error:
        if received:
            raise InputError(
                f"{shown} broke off after {received} bytes: check the network and run again."
            ) from None
        raise InputError(
            f"{shown} cannot be reached ({type(error).__name__}): check 'data.source' and the network, "
            "then run again."
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"no space is left on the disk for {shown} in {target.parent}: free some and run again."
            ) from None
        raise
    if expected is not None and received != expected:
        raise InputError(
            f"{shown} broke off after {received} of {expected} bytes: check the network and run again."
        )
    if not zipfile.is_zipfile(target):
        raise InputError(
            f"{shown} is cut off or no zip archive ({received} bytes came): check 'data.source' and run "
            "again."
        )


def _content_length(header: str | None) -> int | None:
    return int(header) if header and header.isdigit() else None
