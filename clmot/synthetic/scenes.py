"""The synthetic sequences as data: where, when, who and how filmed."""

from __future__ import annotations

from dataclasses import dataclass

from clmot.synthetic.camera import Lens, Motion
from clmot.synthetic.crowd import Habits
from clmot.synthetic.scenery import Setting

DETECTORS: dict[str, tuple[str, ...]] = {"MOT15": (), "MOT17": ("DPM", "FRCNN", "SDP"), "MOT20": ()}
"""Suffixes of the copies in which a benchmark stores each sequence."""

TEST_SHARE = 4
"""A test sequence has this many times fewer frames than a training sequence..."""
SHORTEST = 8
"""...but never fewer than this."""


@dataclass(frozen=True)
class Placed:
    """A thing that stands still: its kind, metres to the right of the camera's neutral axis, and depth."""

    kind: str
    x: float
    z: float


def _placed(text: str) -> tuple[Placed, ...]:
    """`lamp 0.6 10.6, tree -4 12`: things with their x and z."""
    words = (one.split() for one in text.split(","))
    return tuple(Placed(kind, float(x), float(z)) for kind, x, z in words)


@dataclass(frozen=True)
class Traffic:
    """Something that drives through again and again."""

    kind: str
    """`car`, `van` or `cyclist`."""
    z: float
    """Metres from the camera."""
    speed: float
    """Metres a second; negative: to the left."""
    every: float
    """Seconds between two of them."""
    delay: float
    """Seconds until the first one is in the middle."""


@dataclass(frozen=True)
class Scene:
    """One sequence."""

    name: str
    subset: str
    """`train` or `test`."""
    frame_rate: int
    lens: Lens
    motion: Motion
    setting: Setting
    habits: Habits
    people: int
    """In the picture and around it."""
    look_alikes: int
    groups: int
    props: tuple[Placed, ...]
    traffic: tuple[Traffic, ...] = ()
    sitters: tuple[tuple[float, float], ...] = ()
    """(x, z) of people who sit on a bench all the time."""
    ignore_below: float = 0.0
    """People lower than this many pixels are annotated with flag 0."""

    def length(self, frames: int) -> int:
        """Frames of this sequence when training sequences have `frames`."""
        return frames if self.subset == "train" else max(SHORTEST, frames // TEST_SHARE)


DAYLIGHT = (255, 255, 255)
OVERCAST = (240, 232, 226)
EVENING = (168, 188, 214)
"""White under three skies, BGR."""

STONE = (168, 176, 182)
CONCRETE = (150, 152, 152)
SANDSTONE = (160, 184, 200)


def _mot15() -> tuple[Scene, ...]:
    plaza = Lens(448, 256, focal=470, elevation=4.6, horizon=10)
    stroll = Lens(384, 288, focal=330, elevation=2.6, horizon=88)
    campus = Lens(448, 256, focal=400, elevation=3.1, horizon=42)
    market = Lens(384, 288, focal=340, elevation=2.4, horizon=80)
    return (
        Scene(
            name="SYN15-Plaza",
            subset="train",
            frame_rate=7,
            lens=plaza,
            motion=Motion(),
            setting=Setting("plaza", 42, None, None, DAYLIGHT, 0.9, SANDSTONE),
            habits=Habits(9.2, 24, 0.4, 0.2, 0.25, (1.0, 1.7), (0.5, 2.5), 0.25),
            people=18,
            look_alikes=5,
            groups=2,
            props=_placed(
                "statue -1.2 17.5, lamp 3.6 12.5, tree -6.2 15, kiosk 6.6 18.5, planter -2.9 10.8, bench 3 21"
            ),
            ignore_below=22,
        ),
        Scene(
            name="SYN15-Stroll",
            subset="train",
            frame_rate=14,
            lens=stroll,
            motion=Motion(track=3.0, track_period=22, pan=34, pan_period=6.5, zoom=0.22, zoom_period=9, shake=2.2),
            setting=Setting("street", 24, (15.5, 21.5), 3.0, OVERCAST, 0.0, CONCRETE),
            habits=Habits(4.7, 13.8, 0.35, 0.15, 0.2, (1.0, 1.8), (0.4, 1.5), 0.25),
            people=20,
            look_alikes=5,
            groups=2,
            props=_placed(
                "tree -4.5 7.4, lamp 1.2 6.2, van 6 14.8, column -0.8 9.6, "
                "hedge -8.5 9, shelter 10.5 8.6, planter 3.6 7.6"
            ),
            traffic=(Traffic("car", 17.0, 8.0, 5.0, 1.5), Traffic("car", 20.0, -9.0, 7.0, 4.0)),
            ignore_below=22,
        ),
        Scene(
            name="SYN15-Campus",
            subset="train",
            frame_rate=10,
            lens=campus,
            motion=Motion(),
            setting=Setting("park", 30, None, None, DAYLIGHT, 0.8, STONE),
            habits=Habits(6.0, 17, 0.5, 0.15, 0.2, (1.0, 1.8), (0.4, 2.0), 0.25),
            people=15,
            look_alikes=4,
            groups=2,
            props=_placed("tree -2.3 7.4, tree 4.4 10.5, hedge 0.8 10.2, lamp 2 7.8, column -4.6 11, bench 5.4 14"),
            ignore_below=20,
        ),
        Scene(
            name="SYN15-Market",
            subset="test",
            frame_rate=10,
            lens=market,
            motion=Motion(pan=20, pan_period=8, shake=1.2),
            setting=Setting("street", 26, None, None, DAYLIGHT, 0.6, SANDSTONE),
            habits=Habits(5.2, 17, 0.4, 0.2, 0.3, (0.9, 1.5), (0.5, 2), 0.25),
            people=18,
            look_alikes=3,
            groups=2,
            props=_placed("stall -3 9, stall 3.4 10.5, lamp 0.4 6.5"),
            ignore_below=22,
        ),
    )


def _mot17() -> tuple[Scene, ...]:
    high = Lens(480, 270, focal=460, elevation=4.2, horizon=36)
    walking = Lens(480, 270, focal=400, elevation=1.9, horizon=92)
    shops = Lens(480, 270, focal=430, elevation=3.0, horizon=60)
    return (
        Scene(
            name="SYN17-02",
            subset="train",
            frame_rate=30,
            lens=high,
            motion=Motion(),
            setting=Setting("plaza", 36, None, None, DAYLIGHT, 1.0, STONE),
            habits=Habits(8.8, 22, 0.55, 0.15, 0.15, (1.3, 2.2), (0.3, 1.0), 0.2),
            people=22,
            look_alikes=7,
            groups=4,
            props=_placed(
                "kiosk -4.6 18.5, lamp 0.6 10.6, tree 4.2 12.5, column 1.9 15.5, "
                "planter -0.8 12, bench 6.4 18, bicycle -6.6 16, billboard -3.4 14"
            ),
            traffic=(Traffic("cyclist", 25.0, 5.0, 9.0, 2.0),),
            sitters=((6.2, 17.9),),
            ignore_below=22,
        ),
        Scene(
            name="SYN17-05",
            subset="train",
            frame_rate=14,
            lens=walking,
            motion=Motion(track=3.5, track_period=24, pan=30, pan_period=7, zoom=0.2, zoom_period=10, shake=2.0),
            setting=Setting("street", 28, (18.5, 25.0), -2.0, OVERCAST, 0.0, CONCRETE),
            habits=Habits(5.4, 16.4, 0.35, 0.2, 0.2, (1.1, 1.9), (0.3, 1.2), 0.2),
            people=29,
            look_alikes=6,
            groups=3,
            props=_placed(
                "tree -3.4 8.4, van 4.2 17.5, lamp 1 7.4, shelter -8.6 15, "
                "kiosk 9 13, hedge -0.6 10.8, column 6.6 8.2, bicycle -5.6 13.6"
            ),
            traffic=(
                Traffic("car", 20.2, 8.0, 5.5, 1.0),
                Traffic("car", 23.4, -9.0, 6.5, 3.0),
                Traffic("cyclist", 18.9, 4.5, 11.0, 5.0),
            ),
            ignore_below=22,
        ),
        Scene(
            name="SYN17-09",
            subset="train",
            frame_rate=25,
            lens=shops,
            motion=Motion(),
            setting=Setting("street", 26, None, None, EVENING, 0.4, SANDSTONE),
            habits=Habits(6.6, 15.6, 0.55, 0.15, 0.15, (1.2, 2.1), (0.3, 1.0), 0.2),
            people=20,
            look_alikes=6,
            groups=3,
            props=_placed(
                "pavilion 2 18.5, van -5.6 17, lamp 1.4 8.2, tree 3.6 10, "
                "planter -0.8 9.2, bench -3.2 11, column 5.6 13.4"
            ),
            sitters=((-3.4, 11.0),),
            ignore_below=22,
        ),
        Scene(
            name="SYN17-01",
            subset="test",
            frame_rate=30,
            lens=walking,
            motion=Motion(track=3.0, track_period=18, pan=20, pan_period=8, shake=1.5),
            setting=Setting("street", 28, (18.5, 25.0), 4.0, DAYLIGHT, 0.7, STONE),
            habits=Habits(5.4, 16.4, 0.4, 0.2, 0.2, (1.1, 2.0), (0.3, 1.2), 0.2),
            people=26,
            look_alikes=4,
            groups=3,
            props=_placed("tree 2.4 8, van -4.6 17.5, lamp -0.8 7.2"),
            traffic=(Traffic("car", 20.2, 8.0, 5.5, 1.0),),
            ignore_below=22,
        ),
    )


def _mot20() -> tuple[Scene, ...]:
    square = Lens(480, 270, focal=430, elevation=10.5, horizon=-62)
    station = Lens(512, 288, focal=450, elevation=11.0, horizon=-70)
    return (
        Scene(
            name="SYN20-01",
            subset="train",
            frame_rate=25,
            lens=square,
            motion=Motion(),
            setting=Setting("plaza", 46, None, None, DAYLIGHT, 0.8, STONE),
            habits=Habits(14.0, 35, 0.3, 0.05, 0.25, (1.0, 1.9), (0.3, 1.2), 0.2),
            people=96,
            look_alikes=24,
            groups=18,
            props=_placed(
                "statue -1 25, lamp 5.4 18.5, tree -8.4 21, tree 11 26, stall 6.5 29, handcart -8.5 30, bench 2.4 21.5"
            ),
            sitters=((2.2, 21.4),),
            ignore_below=18,
        ),
        Scene(
            name="SYN20-02",
            subset="train",
            frame_rate=25,
            lens=station,
            motion=Motion(),
            setting=Setting("street", 48, None, None, EVENING, 0.0, CONCRETE),
            habits=Habits(14.6, 36, 0.3, 0.05, 0.2, (1.0, 1.9), (0.3, 1.2), 0.2),
            people=100,
            look_alikes=24,
            groups=20,
            props=_placed("kiosk -4.5 24, lamp -7 19, lamp 6 22, column 2 19.5, shelter 8.5 28, planter -1 30"),
            ignore_below=18,
        ),
        Scene(
            name="SYN20-04",
            subset="test",
            frame_rate=25,
            lens=square,
            motion=Motion(),
            setting=Setting("plaza", 46, None, None, OVERCAST, 0.0, SANDSTONE),
            habits=Habits(14.0, 35, 0.3, 0.05, 0.25, (1.0, 1.9), (0.3, 1.2), 0.2),
            people=96,
            look_alikes=20,
            groups=18,
            props=_placed("tree -6.4 22, kiosk 4 26, lamp 1 18.5"),
            ignore_below=18,
        ),
    )


SCENES: dict[str, tuple[Scene, ...]] = {"MOT15": _mot15(), "MOT17": _mot17(), "MOT20": _mot20()}
"""The sequences of each benchmark."""
