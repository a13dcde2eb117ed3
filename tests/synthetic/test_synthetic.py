"""The synthetic source: layout, annotations and the properties that make it a test of trackers."""

from __future__ import annotations

import configparser
import zipfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from clmot.errors import InputError
from clmot.synthetic import write_archive
from clmot.synthetic.camera import Lens, View
from clmot.synthetic.crowd import Crowd, Obstacle
from clmot.synthetic.figures import draw_person, random_outfit
from clmot.synthetic.film import Film
from clmot.synthetic.props import KINDS
from clmot.synthetic.render import Key, Renderer, Thing
from clmot.synthetic.scenery import Setting, paint_backdrop
from clmot.synthetic.scenes import DETECTORS, SCENES, Scene

FRAMES = 8
BENCHMARKS = tuple(SCENES)


@dataclass(frozen=True)
class Archive:
    """A zip's content and its ground truth as arrays."""

    files: dict[str, bytes]

    def truth(self, sequence: str) -> np.ndarray:
        name = next(name for name in self.files if name.endswith(f"{sequence}/gt/gt.txt"))
        return np.array([[float(value) for value in line.split(",")] for line in self.text(name)])

    def text(self, name: str) -> list[str]:
        return self.files[name].decode().splitlines()

    def image(self, name: str) -> np.ndarray:
        return cv2.imdecode(np.frombuffer(self.files[name], np.uint8), cv2.IMREAD_COLOR)


def read_archive(path: Path) -> Archive:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return Archive({name: archive.read(name) for name in archive.namelist()})


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Archive]:
    folder = tmp_path_factory.mktemp("synthetic")
    for benchmark in BENCHMARKS:
        write_archive(folder / f"{benchmark}.zip", benchmark, seed=3, frames=FRAMES)
    return {benchmark: read_archive(folder / f"{benchmark}.zip") for benchmark in BENCHMARKS}


def copies(scene: Scene, benchmark: str) -> list[str]:
    return [f"{scene.name}-{detector}" for detector in DETECTORS[benchmark]] or [scene.name]


def training_scenes() -> list[tuple[str, Scene]]:
    return [(b, scene) for b in BENCHMARKS for scene in SCENES[b] if scene.subset == "train"]


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_layout_is_the_official_one(archives: dict[str, Archive], benchmark: str) -> None:
    root = "" if benchmark == "MOT15" else f"{benchmark}/"
    expected = set()
    for scene in SCENES[benchmark]:
        for name in copies(scene, benchmark):
            folder = f"{root}{scene.subset}/{name}"
            expected |= {f"{folder}/det/det.txt", f"{folder}/seqinfo.ini"}
            expected |= {f"{folder}/img1/{n:06d}.jpg" for n in range(1, scene.length(FRAMES) + 1)}
            if scene.subset == "train":
                expected.add(f"{folder}/gt/gt.txt")
    assert set(archives[benchmark].files) == expected


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_seqinfo_tells_what_is_there(archives: dict[str, Archive], benchmark: str) -> None:
    archive = archives[benchmark]
    for name in [name for name in archive.files if name.endswith("seqinfo.ini")]:
        ini = configparser.ConfigParser()
        ini.optionxform = str  # type: ignore[assignment,method-assign]
        ini.read_string(archive.files[name].decode())
        info = ini["Sequence"]
        assert list(info) == ["name", "imDir", "frameRate", "seqLength", "imWidth", "imHeight", "imExt"]
        folder = name.removesuffix("/seqinfo.ini")
        assert info["name"] == folder.rsplit("/", 1)[-1]
        images = [file for file in archive.files if file.startswith(f"{folder}/img1/")]
        assert int(info["seqLength"]) == len(images) >= FRAMES
        shape = archive.image(f"{folder}/{info['imDir']}/000001{info['imExt']}").shape
        assert shape == (int(info["imHeight"]), int(info["imWidth"]), 3)


def test_the_three_copies_of_mot17_share_images_and_truth(archives: dict[str, Archive]) -> None:
    files = archives["MOT17"].files
    for name in [name for name in files if "-DPM/" in name and not name.endswith("seqinfo.ini")]:
        others = [files[name.replace("-DPM/", f"-{detector}/")] for detector in ("FRCNN", "SDP")]
        if name.endswith("det.txt"):
            assert len({files[name], *others}) == 3
        else:
            assert others == [files[name]] * 2


def test_same_seed_same_bytes(tmp_path: Path, archives: dict[str, Archive]) -> None:
    write_archive(tmp_path / "again.zip", "MOT15", seed=3, frames=FRAMES)
    assert read_archive(tmp_path / "again.zip") == archives["MOT15"]
    stamps = {entry.date_time for entry in zipfile.ZipFile(tmp_path / "again.zip").infolist()}
    assert len(stamps) == 1, "an archive does not tell when it was made"


def test_other_seed_other_film() -> None:
    scene = SCENES["MOT15"][0]
    first, same, other = (next(Film(scene, seed).frames(1)) for seed in (3, 3, 4))
    assert (first.image == same.image).all()
    assert first.annotations == same.annotations != other.annotations
    assert (first.image != other.image).any()


@pytest.mark.parametrize(("benchmark", "columns"), [("MOT15", 10), ("MOT17", 9), ("MOT20", 9)])
def test_ground_truth_rows(archives: dict[str, Archive], benchmark: str, columns: int) -> None:
    for scene in [scene for scene in SCENES[benchmark] if scene.subset == "train"]:
        truth = archives[benchmark].truth(copies(scene, benchmark)[0])
        assert truth.shape[1] == columns
        frame, identity, x, y, w, h, flag = truth[:, :7].T
        assert set(frame) == set(range(1, FRAMES + 1))
        assert len(np.unique(truth[:, :2], axis=0)) == len(truth), "an identity is in a frame once"
        assert identity.min() == 1
        assert set(flag) <= {0, 1}
        assert (w > 0).all()
        assert (h > 0).all()
        if columns == 10:
            assert (truth[:, 7:] == -1).all()
        else:
            assert set(truth[:, 7]) <= set(range(1, 14))
            assert (flag[truth[:, 7] != 1] == 0).all()
            assert ((truth[:, 8] >= 0) & (truth[:, 8] <= 1)).all()
        # Every box shows at least a part of itself; MOT20's end at the border. Files count from 1.
        right, bottom = x - 1 + w, y - 1 + h
        assert (right > 0).all()
        assert (x - 1 < scene.lens.width).all()
        assert (bottom > 0).all()
        assert (y - 1 < scene.lens.height).all()
        if benchmark == "MOT20":
            rounding = 0.011
            assert (x >= 1 - rounding).all()
            assert (y >= 1 - rounding).all()
            assert (right <= scene.lens.width + rounding).all()
            assert (bottom <= scene.lens.height + rounding).all()


def test_every_training_film_has_people_hidden_and_in_full_view(archives: dict[str, Archive]) -> None:
    for benchmark, scene in training_scenes():
        if benchmark == "MOT15":
            continue
        truth = archives[benchmark].truth(copies(scene, benchmark)[0])
        visibility = truth[truth[:, 7] == 1, 8]
        assert (visibility > 0.95).mean() > 0.2
        assert (visibility < 0.5).mean() > 0.02


def test_other_classes_and_flags_are_there(archives: dict[str, Archive]) -> None:
    seen = {
        benchmark: np.concatenate(
            [archives[b].truth(copies(scene, b)[0])[:, 6:8] for b, scene in training_scenes() if b == benchmark]
        )
        for benchmark in ("MOT17", "MOT20")
    }
    assert {1, 2, 3, 4, 7, 8, 9, 10, 11, 12} <= set(seen["MOT17"][:, 1])
    assert {1, 6, 7, 9, 10, 11} <= set(seen["MOT20"][:, 1])
    # Ignored people: too small for the scene's limit.
    assert ((seen["MOT20"][:, 0] == 0) & (seen["MOT20"][:, 1] == 1)).any()


def test_mot20_is_crowded_in_every_frame(archives: dict[str, Archive]) -> None:
    for benchmark, scene in training_scenes():
        if benchmark == "MOT20":
            truth = archives[benchmark].truth(scene.name)
            people = truth[(truth[:, 6] == 1) & (truth[:, 7] == 1)]
            counts = np.bincount(people[:, 0].astype(int), minlength=FRAMES + 1)[1:]
            assert counts.min() >= 60


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_public_detections(archives: dict[str, Archive], benchmark: str) -> None:
    archive = archives[benchmark]
    for name in [name for name in archive.files if name.endswith("det.txt")]:
        rows = np.array([[float(value) for value in line.split(",")] for line in archive.text(name)])
        assert rows.shape[1] == 10
        assert (rows[:, 1] == -1).all()
        assert (rows[:, 4:6] > 0).all()
        assert ((rows[:, 6] > 0) & (rows[:, 6] <= 1)).all()


def test_moving_cameras_move_and_tripods_stand(archives: dict[str, Archive]) -> None:
    def change(sequence: str) -> float:
        folder = f"train/{sequence}/img1"
        first, last = (archives["MOT15"].image(f"{folder}/{n:06d}.jpg")[:60] for n in (1, FRAMES))
        return float(np.median(np.abs(first.astype(int) - last.astype(int))))

    moving = {scene.name: not scene.motion.still for b, scene in training_scenes() if b == "MOT15"}
    assert any(moving.values())
    for name, moves in moving.items():
        assert (change(name) > 3) == moves, name


def simulate(scene: Scene, frames: int) -> list[dict[int, tuple[float, float, float]]]:
    """For each frame: identity -> X, Z in metres and image column."""
    film = Film(scene, seed=3)
    states = []
    for number in range(frames):
        view = film.path.at(number / scene.frame_rate)
        states.append({one.identity: (one.x, one.z, view.project(one.x, one.z)[0]) for one in film.crowd.appearances()})
        film.crowd.advance(1 / scene.frame_rate)
    return states


@pytest.mark.parametrize("name", ["SYN15-Plaza", "SYN17-05"])
def test_people_leave_and_return_as_themselves_without_jumping(name: str) -> None:
    scene = next(scene for _, scene in training_scenes() if scene.name == name)
    states = simulate(scene, 180)
    returned = set()
    left: set[int] = set()
    present: set[int] = set()
    for before, after in pairwise(states):
        for identity, (x, z, column) in after.items():
            inside = 0 < column < scene.lens.width
            if inside and identity in left:
                returned.add(identity)
            if not inside and identity in present:
                left.add(identity)
            present = present | {identity} if inside else present - {identity}
            if identity in before:
                step = np.hypot(x - before[identity][0], z - before[identity][1])
                assert step * scene.frame_rate < 6, "nobody is faster than a sprinter"
    assert returned


def test_some_people_look_alike_and_most_do_not() -> None:
    for scene in (scenes[0] for scenes in SCENES.values()):
        film = Film(scene, seed=3)
        clothes = [(p.outfit.shirt, p.outfit.legs, p.outfit.pattern) for p in film.crowd.people]
        shared = [worn for worn in clothes if clothes.count(worn) > 1]
        assert 2 <= len(shared) <= scene.look_alikes < len(clothes) / 2


def test_nobody_walks_through_furniture() -> None:
    scene = next(scene for _, scene in training_scenes() if scene.name == "SYN15-Campus")
    path = Film(scene, seed=3).path
    obstacles = [Obstacle(p.x, p.z, *KINDS[p.kind].footprint, KINDS[p.kind].hides) for p in scene.props]
    crowd = Crowd(12, 0, 2, scene.habits, obstacles, path, np.random.default_rng(0))
    for _ in range(150):
        crowd.advance(0.1)
        for one in crowd.appearances():
            for box in obstacles:
                assert abs(one.x - box.x) > box.half_width or abs(one.z - box.z) > box.half_depth


@pytest.fixture(scope="module")
def stage() -> tuple[View, Renderer]:
    lens = Lens(200, 160, focal=200, elevation=2.0, horizon=40)
    setting = Setting("plaza", 30, None, None, (255, 255, 255), 0.0, (160, 160, 160))
    backdrop = paint_backdrop(lens, setting, (0, 0, 0), np.random.default_rng(0))
    return View(lens), Renderer(backdrop, setting, np.random.default_rng(0))


def person(number: int, x: float, z: float) -> Thing:
    outfit = random_outfit(np.random.default_rng(number))
    return Thing(draw_person(outfit, "right", "walk", 2, 96), x, z, Key("person", number), category=1)


def test_box_is_tight_around_the_drawing(stage: tuple[View, Renderer]) -> None:
    view, renderer = stage
    empty, _ = renderer.frame(view, [])
    image, (annotation,) = renderer.frame(view, [person(1, 0.3, 5.0)])
    changed = np.abs(image.astype(int) - empty.astype(int)).max(2) > 30
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    left, top, width, height = annotation.box
    drawn = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    np.testing.assert_allclose((left, top, left + width, top + height), drawn, atol=2.0)
    assert annotation.visibility == 1.0


def test_visibility_falls_behind_others_and_at_the_border(stage: tuple[View, Renderer]) -> None:
    view, renderer = stage
    _, (behind, before) = renderer.frame(view, [person(1, 0.0, 6.0), person(2, 0.05, 5.0)])
    assert before.visibility == 1.0
    assert 0.0 <= behind.visibility < 0.5
    at_edge = view.lateral(0.0, 5.0)
    _, (cut,) = renderer.frame(view, [person(1, at_edge, 5.0)])
    assert 0.3 < cut.visibility < 0.7
    assert cut.box[0] < 0, "the box covers the hidden half, too"


def test_zoom_and_sideways_steps_move_near_things_most() -> None:
    lens = Lens(200, 160, focal=200, elevation=2.0, horizon=40)
    here, aside = View(lens), View(lens, x=1.0)
    near = here.project(0, 5)[0] - aside.project(0, 5)[0]
    far = here.project(0, 20)[0] - aside.project(0, 20)[0]
    assert near == pytest.approx(4 * far)
    assert View(lens, zoom=1.5).project(1, 5)[2] == pytest.approx(1.5 * here.project(1, 5)[2])
    assert here.lateral(here.project(1.25, 7)[0], 7) == pytest.approx(1.25)


def test_wrong_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="MOT16"):
        write_archive(tmp_path / "x.zip", "MOT16", 0, 20)
    with pytest.raises(InputError, match="at least 8"):
        write_archive(tmp_path / "x.zip", "MOT15", 0, 7)
    assert not list(tmp_path.iterdir())
