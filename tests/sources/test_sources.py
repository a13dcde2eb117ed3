"""Where archives come from: drawn, found, fetched; and what is said when there is none."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flaky_server import FlakyServer, running
from tiny_archive import gt_rows, jpeg, sequence_files, tree, write_zip

from clmot import synthetic
from clmot.archives.extract import extract_benchmark
from clmot.errors import InputError
from clmot.params import BENCHMARKS
from clmot.sources import download, official
from clmot.sources import fetch as sources
from clmot.sources.fetch import archives_dir, fetch_archives
from clmot.sources.server import Patience
from clmot.synthetic import archive as synthetic_archive

QUICK = Patience(
    piece=1 << 12, connect_timeout=20, read_timeout=20, first_attempts=3, first_pause=0.002, record_every=0.02
)


def fetch(
    source: str,
    cache: Path,
    benchmark: str = "MOT15",
    seed: int = 0,
    frames: int = 8,
    archives: str = "none",
) -> Path:
    (path,) = fetch_archives(source, benchmark, cache, seed, frames, archives)
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "zips").mkdir()
    return write_zip(tmp_path / "zips" / "MOT15.zip", sequence_files("train/TUD-Campus", 2))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


class TestFolder:
    def test_used_in_place(self, archive: Path, cache: Path) -> None:
        assert fetch(str(archive.parent), cache) == archive
        assert fetch(archive.parent.as_uri(), cache) == archive
        assert not cache.exists()

    def test_address_with_a_space(self, tmp_path: Path, archive: Path, cache: Path) -> None:
        folder = archive.parent.rename(tmp_path / "my zips")
        assert fetch(folder.as_uri(), cache) == folder / "MOT15.zip"

    def test_relative_to_the_project_even_from_a_copy_of_it(
        self, tmp_path: Path, archive: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copy = tmp_path / "copy" / "deep"
        copy.mkdir(parents=True)
        monkeypatch.chdir(copy)
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
        assert fetch("../zips", cache) == archive
        assert archives_dir() == tmp_path / "project" / ".archives"

    def test_zip_is_absent(self, archive: Path, cache: Path) -> None:
        with pytest.raises(
            InputError,
            match=r"MOT20\.zip does not exist \(it has MOT15\.zip\) and .* no sequences either: put the archive there",
        ):
            fetch(str(archive.parent), cache, "MOT20")

    def test_source_is_the_zip_itself(self, archive: Path, cache: Path) -> None:
        assert fetch(str(archive), cache, "MOT17") == archive

    def test_both_parts_of_mot17(self, tmp_path: Path, cache: Path) -> None:
        zips = [write_zip(tmp_path / name, {}) for name in ("MOT16.zip", "MOT17Labels.zip")]
        assert list(fetch_archives(str(tmp_path), "MOT17", cache, 0, 8)) == zips
        whole = write_zip(tmp_path / "MOT17.zip", {})
        assert fetch(str(tmp_path), cache, "MOT17") == whole

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("synthetc", r"did you mean 'synthetic'\?"),
            (
                "no/such/folder",
                "is no folder: .*no/such/folder does not exist; expected 'synthetic', 'official', a folder",
            ),
            ("oficial", r"did you mean 'official'\?"),
            ("ftp://example.org/mot", "'ftp://example.org/mot' cannot be used: expected"),
            ("file://elsewhere/zips", "names a host"),
            ("http://", "'http://' is no valid address"),
            ("https://[half/", "is no valid address"),
        ],
    )
    def test_no_source(
        self, source: str, message: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match=message):
            fetch(source, cache)
        assert not cache.exists()


class TestSynthetic:
    def test_drawn_once_for_each_request(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        drawn: list[tuple[str, int, int]] = []

        def draw(path: Path, benchmark: str, seed: int, frames: int) -> None:
            drawn.append((benchmark, seed, frames))
            write_zip(path, {"a.txt": f"{benchmark} {seed} {frames}".encode()})

        monkeypatch.setattr(synthetic, "write_archive", draw, raising=False)
        first = fetch("synthetic", cache)
        assert fetch("synthetic", cache) == first
        assert drawn == [("MOT15", 0, 8)]
        others = {
            fetch("synthetic", cache, seed=1),
            fetch("synthetic", cache, frames=9),
            fetch("synthetic", cache, "MOT20"),
        }
        assert len(others | {first}) == 4
        assert len(drawn) == 4
        assert all(path.is_file() for path in [first, *others])

    def test_drawn_anew_by_other_code(self, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        package = tmp_path / "synthetic"
        package.mkdir()
        (package / "drawing.py").write_text("one = 1\n")
        monkeypatch.setattr(synthetic, "__path__", [str(package)])
        monkeypatch.setattr(synthetic, "write_archive", lambda path, *_: write_zip(path, {}), raising=False)
        first = fetch("synthetic", cache)
        (package / "drawing.pyc").write_text("compiled")
        assert fetch("synthetic", cache) == first
        (package / "drawing.py").write_text("one = 2\n")
        second = fetch("synthetic", cache)
        assert second != first
        assert [p for p in cache.iterdir() if p.name != "locks"] == [second]

    def test_half_drawn_archive_is_not_kept(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(synthetic_archive, "_write_sequence", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch("synthetic", cache)
        assert [p.name for p in cache.iterdir()] == ["locks"]

    def test_what_a_killed_process_left_is_removed(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        code = (
            "import os, sys; from clmot.sources import fetch as sources; from clmot.synthetic import archive;"
            "archive._write_sequence = lambda *_: os.kill(os.getpid(), 9);"
            "sources.fetch_archives('synthetic', 'MOT15', sys.argv[1], 0, 8)"
        )
        subprocess.run([sys.executable, "-c", code, str(cache)], check=False)
        assert len([p for p in cache.iterdir() if p.name.endswith(".partial")]) == 1
        monkeypatch.setattr(synthetic_archive, "_write_sequence", lambda *_: None)
        drawn = fetch("synthetic", cache)
        assert [p for p in cache.iterdir() if p.name != "locks"] == [drawn]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PATIENCE", QUICK)
    with running() as state:
        monkeypatch.setenv("CLMOT_OFFICIAL_URL", f"{state.url}/data")
        yield state


def files(cache: Path) -> list[str]:
    """What is kept, without the locks."""
    return sorted(p.relative_to(cache).as_posix() for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock")


class TestMirror:
    def test_fetched_once(self, server: FlakyServer, archive: Path, cache: Path) -> None:
        server.put("/data/MOT15.zip", archive.read_bytes())
        path = fetch(f"{server.url}/data", cache)
        assert path.read_bytes() == archive.read_bytes()
        asked = len(server.requests)
        assert fetch(f"{server.url}/data/", cache) == path
        assert len(server.requests) == asked
        assert files(cache) == [path.name]

    def test_addresses_do_not_share_an_archive(self, server: FlakyServer, archive: Path, cache: Path) -> None:
        for path in ("/a/MOT15.zip", "/b/MOT15.zip"):
            server.put(path, archive.read_bytes())
        assert fetch(f"{server.url}/a", cache) != fetch(f"{server.url}/b", cache)

    def test_an_archive_of_the_user_needs_no_server(self, server: FlakyServer, archive: Path, cache: Path) -> None:
        assert fetch(f"{server.url}/data", cache, archives=str(archive.parent)) == archive
        assert not server.requests

    def refuse(self, message: str, cache: Path, source: str) -> str:
        with pytest.raises(InputError, match=message) as caught:
            fetch(source, cache)
        assert not files(cache)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def test_absent(self, server: FlakyServer, cache: Path) -> None:
        self.refuse(r"/data/MOT15\.zip answered 404 Not Found: check 'data\.source'", cache, f"{server.url}/data")

    def test_nobody_listens(self, server: FlakyServer, cache: Path) -> None:
        self.refuse(r"cannot be reached \(no server is listening there\)", cache, "http://127.0.0.1:1/data")

    def test_password_stays_unsaid(self, server: FlakyServer, cache: Path) -> None:
        source = server.url.replace("http://", "http://me:secret@") + "/data?token=hidden"
        sentence = self.refuse("answered 404", cache, source)
        assert "secret" not in sentence
        assert "hidden" not in sentence
        assert {request.path for request in server.requests} == {"/data/MOT15.zip?token=hidden"}

    def test_a_second_process_waits_for_the_first(
        self, server: FlakyServer, archive: Path, cache: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.put("/data/MOT15.zip", archive.read_bytes())
        server.speed = 4e3
        with ThreadPoolExecutor(3) as pool:
            paths = set(pool.map(lambda _: fetch(f"{server.url}/data", cache), range(3)))
        assert len(paths) == 1
        assert server.settled() == archive.stat().st_size + 4
        assert capsys.readouterr().err.count("another process is getting") == 2


class TestOfficial:
    """The official site, played by a server on this machine, with small archives of the same names."""

    @pytest.fixture(autouse=True)
    def site(self, server: FlakyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Path]:
        """The archives as they are on the server, known by size and checksum where the real ones are."""
        frames16, tables17, all17 = ({}, {}, {})  # type: dict[str, bytes], dict[str, bytes], dict[str, bytes]
        for subset, number in (("train", "02"), ("test", "01")):
            gt = "" if subset == "train" else None
            other = gt_rows(3, people=1) if subset == "train" else None  # MOT16's own, of which MOT17 has better
            frames16 |= sequence_files(f"{subset}/MOT16-{number}", 3, gt=other)
            for detector in ("DPM", "FRCNN", "SDP"):
                name = f"{subset}/MOT17-{number}-{detector}"
                tables17 |= sequence_files(name, 3, gt=gt, images=False)
                all17 |= sequence_files(f"MOT17/{name}", 3, gt=gt)
        contents = {
            "MOT15.zip": sequence_files("train/TUD-Campus", 2),
            "MOT16.zip": frames16,
            "MOT17Labels.zip": tables17,
            "MOT17.zip": all17,
            "MOT20.zip": sequence_files("MOT20/train/MOT20-01", 2),
        }
        (tmp_path / "site").mkdir()
        found, known = {}, {}
        for name, content in contents.items():
            found[name] = write_zip(tmp_path / "site" / name, content)
            server.put(f"/data/{name}", body := found[name].read_bytes())
            real = official.ARCHIVES[name]
            known[name] = dataclasses.replace(
                real,
                about=len(body),
                size=real.size and len(body),
                sha256=real.sha256 and hashlib.sha256(body).hexdigest(),
            )
        monkeypatch.setattr(sources, "ARCHIVES", known)
        return found

    def get(self, benchmark: str, cache: Path, archives: str = "none") -> list[str]:
        return [path.name for path in fetch_archives("official", benchmark, cache, 0, 8, archives)]

    @pytest.mark.parametrize(
        ("benchmark", "names"),
        [("MOT15", ["MOT15.zip"]), ("MOT17", ["MOT16.zip", "MOT17Labels.zip"]), ("MOT20", ["MOT20.zip"])],
    )
    def test_what_is_fetched(
        self,
        benchmark: str,
        names: list[str],
        server: FlakyServer,
        cache: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert self.get(benchmark, cache) == names
        assert files(cache) == names
        assert "CC BY-NC-SA 3.0" in capsys.readouterr().out
        server.mute = True
        assert self.get(benchmark, cache) == names

    @pytest.mark.parametrize("split", ["half", "full"])
    def test_mot17_from_its_parts_is_mot17(
        self, cache: Path, tmp_path: Path, site: Mapping[str, Path], split: str
    ) -> None:
        parts = fetch_archives("official", "MOT17", cache, 0, 8)
        assert len(parts) == 2
        extract_benchmark(parts, "MOT17", split, tmp_path / "a/frames", tmp_path / "a/gt")
        extract_benchmark(site["MOT17.zip"], "MOT17", split, tmp_path / "b/frames", tmp_path / "b/gt")
        assert tree(tmp_path / "a") == tree(tmp_path / "b")
        assert any(name.startswith("frames/MOT17-01") for name in tree(tmp_path / "a")) == (split == "full")

    def test_mot16_alone_is_not_mot17(self, cache: Path, tmp_path: Path, site: Mapping[str, Path]) -> None:
        with pytest.raises(InputError, match=r"has the frames of train/MOT16-02.*put MOT17Labels\.zip beside it"):
            extract_benchmark(site["MOT16.zip"], "MOT17", "half", tmp_path / "frames", tmp_path / "gt")

    @pytest.mark.parametrize("gone", ["MOT16.zip", "MOT17Labels.zip"])
    def test_mot17_whole_where_a_part_is_gone(
        self, server: FlakyServer, cache: Path, gone: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        del server.files[f"/data/{gone}"]
        assert self.get("MOT17", cache) == ["MOT17.zip"]
        assert f"{gone} answered 404" in (err := capsys.readouterr().err)
        assert "Trying MOT17.zip instead" in err
        assert self.get("MOT17", cache) == ["MOT17.zip"]

    def test_all_gone(self, server: FlakyServer, cache: Path) -> None:
        server.files.clear()
        with pytest.raises(InputError, match=r"MOT16\.zip answered 404 Not Found: set 'data\.source' to a mirror"):
            self.get("MOT17", cache)

    def test_a_site_that_is_down_is_not_asked_for_more(self, server: FlakyServer, cache: Path) -> None:
        server.mute = True
        with pytest.raises(InputError, match=r"MOT16\.zip cannot be reached"):
            self.get("MOT17", cache)
        assert not server.asked("/MOT17.zip")

    def test_archives_of_the_user_are_used_in_place(
        self, server: FlakyServer, cache: Path, site: Mapping[str, Path], tmp_path: Path
    ) -> None:
        for names, benchmark in ((["MOT16.zip", "MOT17Labels.zip"], "MOT17"), (["MOT20.zip"], "MOT20")):
            paths = fetch_archives("official", benchmark, cache, 0, 8, str(tmp_path / "site"))
            assert list(paths) == [site[name] for name in names]
        site["MOT16.zip"].unlink()
        (whole,) = fetch_archives("official", "MOT17", cache, 0, 8, str(tmp_path / "site"))
        assert whole == site["MOT17.zip"], "rather than fetch what is missing of the smaller pair"
        assert not server.requests
        site["MOT17.zip"].unlink()
        paths = fetch_archives("official", "MOT17", cache, 0, 8, str(tmp_path / "site"))
        assert list(paths) == [cache / "MOT16.zip", site["MOT17Labels.zip"]]
        assert {request.path for request in server.requests} == {"/data/MOT16.zip"}

    def test_another_archive_of_that_name(self, cache: Path, site: Mapping[str, Path], tmp_path: Path) -> None:
        path = site["MOT20.zip"]
        whole = bytearray(path.read_bytes())
        whole[100] ^= 1
        path.write_bytes(whole)
        with pytest.raises(InputError, match=r"MOT20\.zip is not the official .* \(its SHA-256 is .* instead of"):
            self.get("MOT20", cache, str(tmp_path / "site"))
        path.write_bytes(whole[:-1])
        with pytest.raises(InputError, match=rf"\(it has {len(whole) - 1} bytes instead of {len(whole)}\): set 'data"):
            self.get("MOT20", cache, str(tmp_path / "site"))

    def test_no_such_folder(self, cache: Path) -> None:
        with pytest.raises(InputError, match=r"data\.archives 'nowhere' is no folder: .*or 'none'"):
            self.get("MOT20", cache, "nowhere")

    def test_no_space(self, server: FlakyServer, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Room for the archive alone is not enough: its frames come on top."""
        size = len(server.files["/data/MOT20.zip"])
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2 * size - 1))
        with pytest.raises(InputError, match=r"MOT20\.zip with its frames needs .* GB left: free some"):
            self.get("MOT20", cache)
        assert server.settled() == 4
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2 * size))
        assert self.get("MOT20", cache) == ["MOT20.zip"]

    def test_the_table(self) -> None:
        for name, known in official.ARCHIVES.items():
            assert known.size is None or known.size == known.about, name
            assert known.sha256 is None or len(known.sha256) == 64, name
        used = {name for recipes in official.RECIPES.values() for recipe in recipes for name in recipe}
        assert used == set(official.ARCHIVES)
        assert set(official.RECIPES) == set(BENCHMARKS)


FILMS = {name: sequence_files(name, length) for name, length in (("Shop", 3), ("Street", 4))}


class TestOwnSequences:
    """A folder of films, one film, or a zip of them: all the same in the end."""

    def lay_out(self, folder: Path, contents: Mapping[str, bytes]) -> Path:
        for name, data in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return folder

    def extracted(self, source: Path, tmp_path: Path) -> dict[str, bytes]:
        out = tmp_path / "outs"
        shutil.rmtree(out, ignore_errors=True)
        paths = fetch_archives(str(source), "MOT17", tmp_path / "cache", 0, 8)
        extract_benchmark(paths, "MOT17", "half", out / "frames", out / "gt")
        assert not (tmp_path / "cache").exists(), "used in place"
        return tree(out)

    def test_every_layout(self, tmp_path: Path) -> None:
        both = FILMS["Shop"] | FILMS["Street"]
        plain = self.extracted(self.lay_out(tmp_path / "plain", both), tmp_path)
        assert [name for name in plain if name.endswith("000003.jpg")] == [
            "frames/Shop/img1/000003.jpg",
            "frames/Street/img1/000003.jpg",
        ]
        nested = {f"train/{name}": data for name, data in both.items()}
        below = {f"MOT17/{name}": data for name, data in nested.items()}
        for n, layout in enumerate((nested, below)):
            assert self.extracted(self.lay_out(tmp_path / str(n), layout), tmp_path) == plain
        for n, layout in enumerate((both, nested, below, {f"my films/{k}": v for k, v in both.items()})):
            assert self.extracted(write_zip(tmp_path / f"{n}.zip", layout), tmp_path) == plain

    def test_one_film(self, tmp_path: Path) -> None:
        films = self.lay_out(tmp_path / "films", FILMS["Street"])
        one = self.extracted(films / "Street", tmp_path)
        assert one == self.extracted(films, tmp_path)
        inside = {name.removeprefix("Street/"): data for name, data in FILMS["Street"].items()}
        assert self.extracted(write_zip(tmp_path / "Street.zip", inside), tmp_path) == one

    def test_the_folder_stays_as_it_is(self, tmp_path: Path) -> None:
        films = self.lay_out(tmp_path / "films", FILMS["Street"] | {".hidden/x": b"", "notes.txt": b"x"})
        before = tree(films)
        self.extracted(films, tmp_path)
        assert tree(films) == before
        links = [p for p in (tmp_path / "outs").rglob("*.jpg") if p.stat().st_nlink > 1 or p.is_symlink()]
        assert not links, "DVC makes its files read-only, which the user's must not become"

    def test_links_in_circles(self, tmp_path: Path) -> None:
        films = self.lay_out(tmp_path / "films", FILMS["Street"])
        whole = self.extracted(films, tmp_path)
        (films / "Street" / "again").symlink_to(films)
        assert self.extracted(films, tmp_path) == whole

    def test_mistakes_name_the_file(self, tmp_path: Path) -> None:
        films = self.lay_out(tmp_path / "films", FILMS["Street"])
        (films / "Street/gt/gt.txt").write_text("1,1,5,5,nan,9,1,1,1\n")
        with pytest.raises(InputError, match=r"films:Street/gt/gt\.txt:1: column 5 is 'nan'"):
            self.extracted(films, tmp_path)
        (films / "Street/gt/gt.txt").unlink()
        with pytest.raises(InputError, match=r"films: Street has no gt/gt\.txt"):
            self.extracted(films, tmp_path)
        with pytest.raises(InputError, match=r"Street: Street has no gt/gt\.txt"):
            self.extracted(films / "Street", tmp_path)

    def test_the_readmes_example(self, tmp_path: Path) -> None:
        """Two frames of one's own, with boxes and no identities, laid out by hand."""
        film = tmp_path / "films" / "MyFilm"
        self.lay_out(film, {"img1/000001.jpg": jpeg(1), "img1/000002.jpg": jpeg(2)})
        (film / "gt").mkdir()
        (film / "gt/gt.txt").write_text("1,1,10,4,6,12,1,1,1\n1,2,30,4,6,12,1,1,1\n2,1,11,4,6,12,1,1,1\n")
        (film / "seqinfo.ini").write_text(
            "[Sequence]\nname=MyFilm\nimDir=img1\nframeRate=25\nseqLength=2\nimWidth=48\nimHeight=32\nimExt=.jpg\n"
        )
        result = self.extracted(tmp_path / "films", tmp_path)
        assert result["frames/MyFilm/img1/000002.jpg"] == jpeg(2)
        assert result["gt/MyFilm/gt.txt"].startswith(b"1,1,10,4")
