"""`clmot submit`: the zip for the MOTChallenge server, and the check of anybody's."""

from __future__ import annotations

import contextlib
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from tiny_archive import tree

from clmot.cli.main import run
from clmot.errors import InputError
from clmot.evaluation.submission import (
    TEST_FILMS,
    _refuse_other_contents,
    check_submission,
    submitted_names,
    write_submission,
)
from clmot.motchallenge.sequence import ManifestEntry, write_manifest
from clmot.motchallenge.splits import DETECTORS, MOT15_FRAME_RATES

ROOT = Path(__file__).parents[2]
ROWS = "1,1,10.00,20.00,30.00,60.00,0.9000,-1,-1,-1\n2,1,11.00,20.00,30.00,60.00,0.9000,-1,-1,-1\n"


def set_split(split: str) -> None:
    text = (ROOT / "params.yaml").read_text()
    Path("params.yaml").write_text(re.sub(r"(?m)^  split: \w+", f"  split: {split}", text))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that tracked MOT17's test set."""
    monkeypatch.chdir(tmp_path)
    set_split("full")
    films = TEST_FILMS["MOT17"]
    entries = [ManifestEntry(name, "test", length or 0, 1920, 1080, 30.0) for name, length in films.items()]
    entries.append(ManifestEntry("MOT17-02", "train", 600, 1920, 1080, 30.0))
    write_manifest("data/frames/MOT17", "MOT17", entries)
    Path("tracks/MOT17").mkdir(parents=True)
    for name in films:
        Path(f"tracks/MOT17/{name}.txt").write_text(ROWS)
    return tmp_path


def packed(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def contents(benchmark: str = "MOT20", **changes: str) -> dict[str, str]:
    """The files of a good zip, with some of them replaced."""
    files = {f"{name}.txt": ROWS for name in submitted_names(benchmark, TEST_FILMS[benchmark])}
    return files | {f"{name.replace('_', '-')}.txt": text for name, text in changes.items()}


def test_test_sets() -> None:
    assert {name: len(films) for name, films in TEST_FILMS.items()} == {"MOT15": 11, "MOT17": 7, "MOT20": 4}
    assert set(TEST_FILMS["MOT15"]) < set(MOT15_FRAME_RATES)
    assert sum(length or 0 for length in TEST_FILMS["MOT17"].values()) == 5919
    assert len(submitted_names("MOT17", TEST_FILMS["MOT17"])) == 21
    assert len(submitted_names("MOT20", TEST_FILMS["MOT20"])) == 4


def test_the_same_tracks_under_mot17s_21_names(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["submit", "MOT17"])
    assert capsys.readouterr().out == "MOT17.zip: 21 files, 42 boxes, 21 tracks; every check passed.\n"
    with zipfile.ZipFile("MOT17.zip") as archive:
        assert sorted(archive.namelist()) == sorted(
            f"{film}-{detector}.txt" for film in TEST_FILMS["MOT17"] for detector in DETECTORS
        )
        assert {archive.read(name).decode() for name in archive.namelist()} == {ROWS}


def test_a_second_run_gives_the_same_bytes(project: Path) -> None:
    run(["submit", "MOT17", "--out", "out/one.zip"])
    first = Path("out/one.zip").read_bytes()
    run(["submit", "MOT17", "--out", "out/one.zip"])
    assert Path("out/one.zip").read_bytes() == first
    assert [path.name for path in Path("out").iterdir()] == ["one.zip"]


class TestRefusedToZip:
    def test_the_train_set(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        set_split("half")
        with pytest.raises(InputError, match=r"'data\.split: half' tracks sequences of the train set.*--any"):
            run(["submit", "MOT17"])
        Path("tracks/MOT17/MOT17-02.txt").write_text(ROWS)
        run(["submit", "MOT17", "--any"])
        assert "not the films that the server scores" in capsys.readouterr().out
        with zipfile.ZipFile("MOT17.zip") as archive:
            assert archive.namelist() == [f"MOT17-02-{detector}.txt" for detector in DETECTORS]

    def test_films_that_are_not_the_benchmarks(self, project: Path) -> None:
        entries = [ManifestEntry("SYN17-01", "test", 9, 640, 480, 30.0)]
        write_manifest("data/frames/MOT17", "MOT17", entries)
        Path("tracks/MOT17/SYN17-01.txt").write_text(ROWS)
        with pytest.raises(InputError, match=r"tracks/MOT17 is of SYN17-01, but the server takes MOT17's test set"):
            run(["submit", "MOT17"])
        run(["submit", "MOT17", "--any"])

    def test_a_part_of_the_test_set(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"lacks MOT20-06, MOT20-07, MOT20-08, but the server takes"):
            write_submission(tmp_path / "a.zip", tmp_path, "MOT20", {"MOT20-04": 2080})

    @pytest.mark.parametrize("harm", ["absent", "late", "twice"])
    def test_tracks_that_are_not_as_they_should_be(self, project: Path, harm: str) -> None:
        Path("MOT17.zip").write_text("of an earlier run")
        path = Path("tracks/MOT17/MOT17-01.txt")
        path.write_text(ROWS + {"absent": "", "late": "451,1,1,1,9,9,1,-1,-1,-1\n", "twice": ROWS}[harm])
        if harm == "absent":
            path.unlink()
        sentence = {
            "absent": r"tracks/MOT17/MOT17-01\.txt does not exist: run the track stage",
            "late": r"MOT17\.zip:MOT17-01-DPM\.txt ends with frame 451, but the film has 450",
            "twice": r"MOT17\.zip:MOT17-01-DPM\.txt:3: identity 1 appears twice in frame 1",
        }[harm]
        with pytest.raises(InputError, match=sentence):
            run(["submit", "MOT17"])
        assert Path("MOT17.zip").read_text() == "of an earlier run"
        assert not list(project.glob(".*partial"))

    def test_nothing_to_do(self, project: Path) -> None:
        with pytest.raises(InputError, match="say what to zip"):
            run(["submit"])
        with pytest.raises(InputError, match="there is no benchmark 'MOT16'"):
            run(["submit", "MOT16"])
        with pytest.raises(InputError, match="--check writes nothing"):
            run(["submit", "--check", "a.zip", "--out", "b.zip"])


class TestCheck:
    def test_a_good_zip(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Anywhere, without a project."""
        monkeypatch.chdir(tmp_path)
        packed(tmp_path / "a.zip", contents())
        run(["submit", "--check", "a.zip"])
        assert capsys.readouterr().out == "a.zip: 4 files, 8 boxes, 4 tracks; every check passed.\n"

    def test_the_detectors_may_differ(self, tmp_path: Path) -> None:
        """Trackers of public detections have three results for a film."""
        found = check_submission(packed(tmp_path / "a.zip", contents("MOT17", **{"MOT17-01-DPM": ""})))
        assert (found.files, found.boxes) == (21, 40)

    def test_lengths_that_only_data_state(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        packed(tmp_path / "a.zip", contents("MOT15"))
        run(["submit", "--check", "a.zip"])
        assert "note: the lengths of ADL-Rundle-1" in capsys.readouterr().out
        entries = [ManifestEntry(name, "test", 2, 640, 480, 30.0) for name in TEST_FILMS["MOT15"]]
        write_manifest("data/frames/MOT15", "MOT15", entries)
        run(["submit", "--check", "a.zip"])
        assert "note" not in capsys.readouterr().out
        entries[0] = ManifestEntry("ADL-Rundle-1", "test", 1, 640, 480, 30.0)
        write_manifest("data/frames/MOT15", "MOT15", entries)
        with pytest.raises(InputError, match=r"ADL-Rundle-1\.txt ends with frame 2, but the film has 1"):
            run(["submit", "--check", "a.zip"])

    @pytest.mark.parametrize(
        ("row", "sentence"),
        [
            ("0,1,1,1,9,9,1,-1,-1,-1\n", r"MOT20-04\.txt:1: frame 0 is below 1, the first frame"),
            ("2081,1,1,1,9,9,1,-1,-1,-1\n", r"MOT20-04\.txt ends with frame 2081, but the film has 2080"),
            ("1,1,nan,1,9,9,1,-1,-1,-1\n", r"MOT20-04\.txt:1: column 3 is 'nan'"),
            ("1,1,1,1,9,inf,1,-1,-1,-1\n", r"MOT20-04\.txt:1: column 6 is 'inf'"),
            ("1,0,1,1,9,9,1,-1,-1,-1\n", r"MOT20-04\.txt: identity 0 in frame 1 is below 1"),
            ("1,-1,1,1,9,9,1,-1,-1,-1\n" * 2, r"MOT20-04\.txt:2: identity -1 appears twice in frame 1"),
            ("1,1,1,1,9,0,1,-1,-1,-1\n", r"MOT20-04\.txt: the box of identity 1 in frame 1 has no width or no height"),
            ("1,1,1,1,9,9\n", r"MOT20-04\.txt:1: has 6 columns"),
            ("1;1;1;1;9;9;1\n", r"MOT20-04\.txt:1: separates columns with semicolons"),
        ],
    )
    def test_faulty_rows(self, tmp_path: Path, row: str, sentence: str) -> None:
        path = packed(tmp_path / "a.zip", contents(MOT20_04=row))
        with pytest.raises(InputError, match=rf"a\.zip:{sentence}"):
            check_submission(path)

    @pytest.mark.parametrize(
        ("files", "sentence"),
        [
            (
                {f"results/{name}": text for name, text in contents().items()},
                r"'results/MOT20-04\.txt', .* root",
            ),
            ({**contents(), "readme.md": ""}, r"holds 'readme\.md', but only <sequence>\.txt belongs in it"),
            ({**contents(), "MOT20-01.txt": ROWS}, r"holds MOT20-01\.txt, but that is a training sequence"),
            ({"MOT20-04.txt": ROWS}, r"lacks MOT20-06\.txt, MOT20-07\.txt, MOT20-08\.txt: .* all 4 files"),
            (
                {**contents(), **contents("MOT17")},
                r"does not hold sequences of one of MOT15, MOT17, MOT20 alone",
            ),
            ({"film.txt": ROWS}, r"does not hold sequences of one of"),
            ({"MOT17-01.txt": ROWS}, r"holds MOT17-01\.txt, but MOT17's need -DPM, -FRCNN and -SDP"),
            ({}, "is empty"),
        ],
    )
    def test_wrong_files(self, tmp_path: Path, files: dict[str, str], sentence: str) -> None:
        path = packed(tmp_path / "a.zip", files)
        with pytest.raises(InputError, match=rf"a\.zip .*{sentence}|a\.zip {sentence}"):
            check_submission(path)

    def test_no_zip(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"a\.zip does not exist"):
            check_submission(tmp_path / "a.zip")
        (tmp_path / "a.zip").write_text("PK, but no zip")
        with pytest.raises(InputError, match=r"a\.zip is no zip archive, or is damaged"):
            check_submission(tmp_path / "a.zip")
        packed(tmp_path / "b.zip", contents())
        data = bytearray((tmp_path / "b.zip").read_bytes())
        data[60] ^= 0xFF
        (tmp_path / "b.zip").write_bytes(data)
        with pytest.raises(InputError, match=r"b\.zip is no zip archive, or is damaged"):
            check_submission(tmp_path / "b.zip")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_anywhere_is_a_sentence(tmp_path: Path, method: int) -> None:
    """Every byte of a zip in turn; what cannot be told from a good one passes."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("MOT20-04.txt", ROWS)
        archive.writestr("MOT20-0\u00e9.txt", ROWS)  # such names are marked as UTF-8
    whole = path.read_bytes()
    for at in range(len(whole)):
        for damaged in (whole[:at], bytes([*whole[:at], whole[at] ^ 0xFF, *whole[at + 1 :]])):
            path.write_bytes(damaged)
            with contextlib.suppress(InputError):
                check_submission(path, "MOT20", expected={"MOT20-04", "MOT20-0\u00e9"})
            with contextlib.suppress(InputError):
                _refuse_other_contents(path)


def test_an_archive_of_frames_is_not_overwritten(project: Path) -> None:
    """The default name is that of the benchmark's own zip, which may lie in the project's folder."""
    packed(Path("MOT17.zip"), {"MOT17/train/MOT17-02-DPM/img1/000001.jpg": "a frame"})
    Path("cut.zip").write_bytes(Path("MOT17.zip").read_bytes()[:50])
    before = tree(project)
    for name in ("MOT17.zip", "cut.zip", "params.yaml", "tracks"):
        with pytest.raises(InputError, match=f"{name} is there and holds no results: .* with --out"):
            run(["submit", "MOT17", "--out", name])
    assert tree(project) == before
    run(["submit", "MOT17", "--out", "results.zip"])


def test_what_is_written_can_be_checked(project: Path) -> None:
    run(["submit", "MOT17"])
    shutil.rmtree("data")
    run(["submit", "--check", "MOT17.zip"])
