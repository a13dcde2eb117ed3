"""What stands still behind and below the people: sky, house fronts, and the ground in perspective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from clmot.synthetic.camera import Lens, View
from clmot.synthetic.figures import Colour, palette

_OVERSAMPLING = 2

Ground = Literal["street", "plaza", "park"]


@dataclass(frozen=True)
class Setting:
    """A place and its light."""

    ground: Ground
    wall: float
    """Metres to the house fronts."""
    road: tuple[float, float] | None
    """Nearest and farthest metre of a road across the picture."""
    crossing: float | None
    """X in metres of a pedestrian crossing over the road."""
    light: Colour
    """What white looks like, BGR; 255 = full daylight."""
    sun: float
    """Strength of cast shadows, 0 (overcast) to 1."""
    paving: Colour
    """Colour of the pavement."""


@dataclass(frozen=True)
class Backdrop:
    """A painted set: upright fronts above the foot of the wall, ground below it."""

    front: np.ndarray
    """(H, W, 3) float32 BGR."""
    front_origin: tuple[float, float]
    ground: np.ndarray
    """(H, W, 3) float32 BGR."""
    ground_origin: tuple[float, float]
    """Pixel of each layer on the optical axis at the horizon."""
    wall_drop: float
    """Unzoomed pixels from the horizon down to the foot of the wall."""

    def seen_from(self, view: View, wall: float) -> np.ndarray:
        """(height, width, 3) float32: the set through the camera, without people and things."""
        lens = view.lens
        picture = np.empty((lens.height, lens.width, 3), np.float32)
        seam = int(np.clip(round(view.row(self.wall_drop)), 0, lens.height))
        if seam > 0:
            matrix = view.affine(self.front_origin, lens.focal / wall, 0.0)
            picture[:seam] = _warp(self.front, matrix, (lens.width, seam))
        if seam < lens.height:
            matrix = view.affine(self.ground_origin, 0.0, 1 / lens.elevation)
            matrix[1, 2] -= seam
            picture[seam:] = _warp(self.ground, matrix, (lens.width, lens.height - seam))
        return picture


def _warp(layer: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.warpAffine(layer, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def paint_backdrop(
    lens: Lens, setting: Setting, reach: tuple[float, float, float], rng: np.random.Generator
) -> Backdrop:
    """The set for a camera that moves by at most `reach`: metres sideways, pixels of pan, pixels of tilt."""
    metres, pan, tilt = reach
    wall_drop = lens.focal * lens.elevation / setting.wall
    margin = 4.0  # pixels beyond the farthest that is seen, for the warp's interpolation
    half = lens.width / 2 + pan + margin
    front_half = int(np.ceil(half + metres * lens.focal / setting.wall))
    sky_rows = int(np.ceil(lens.horizon + tilt + margin))
    front_rows = max(8, sky_rows + int(np.ceil(wall_drop)) + 1)
    front = _paint_front(lens, setting, front_half, sky_rows, front_rows, wall_drop, rng)
    bottom = lens.height - lens.horizon + tilt + margin
    first = int(np.floor(wall_drop)) - 1
    ground_half = int(np.ceil(half + metres * bottom / lens.elevation))
    ground = _paint_ground(lens, setting, ground_half, first, int(np.ceil(bottom)), rng)
    return Backdrop(
        front=front,
        front_origin=(float(front_half), float(sky_rows)),
        ground=ground,
        ground_origin=(float(ground_half), float(-first)),
        wall_drop=wall_drop,
    )


def _noise(shape: tuple[int, int], grain: int, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32 smooth noise of unit spread whose spots measure about `grain` pixels."""
    small = (max(2, shape[0] // grain + 2), max(2, shape[1] // grain + 2))
    noise = rng.standard_normal(small).astype(np.float32)
    return cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def _paint_ground(
    lens: Lens, setting: Setting, half: int, first: int, last: int, rng: np.random.Generator
) -> np.ndarray:
    """The ground for rows `first`..`last` below the horizon, painted on the plane and seen in perspective."""
    n = _OVERSAMPLING
    rows = (first + (np.arange((last - first) * n) + 0.5) / n).astype(np.float32)
    columns = (-half + (np.arange(2 * half * n) + 0.5) / n).astype(np.float32)
    depth = (lens.focal * lens.elevation / np.maximum(rows, 1))[:, None]
    x = columns[None, :] * depth / lens.focal
    z = np.broadcast_to(depth, x.shape)

    def tiled(size: float) -> np.ndarray:
        """Noise lying on the ground, its spots `size` metres wide."""
        texture = rng.standard_normal((64, 64)).astype(np.float32)
        map_x = np.mod(x / size, 64).astype(np.float32)
        map_z = np.mod(z / size, 64).astype(np.float32)
        return cv2.remap(texture, map_x, map_z, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)

    patches, grit = tiled(1.7), tiled(0.12)
    # A tile's joint thinner than a pixel would sparkle: far away it fades into the average.
    fade = np.clip(12 / depth, 0, 1)
    if setting.ground == "park":
        base = np.array((74, 128, 96), np.float32) * np.ones((*x.shape, 1), np.float32)
        path = np.abs(z - 11 - 1.2 * np.sin(x / 5)) < 3.6
        base[path] = (150, 176, 192)
        base *= (1 + 0.06 * patches + 0.05 * grit * fade)[..., None]
    else:
        side = 0.8 if setting.ground == "plaza" else 0.6
        checker = (np.floor(x / side) + np.floor(z / side)) % 2
        joint = (np.mod(x, side) < 0.04 * side) | (np.mod(z, side) < 0.06 * side)
        base = np.array(setting.paving, np.float32) * np.ones((*x.shape, 1), np.float32)
        contrast = 0.09 if setting.ground == "plaza" else 0.03
        base *= (1 + contrast * (checker - 0.5) * fade + 0.05 * patches + 0.03 * grit * fade)[..., None]
        base *= (1 - 0.12 * joint * fade)[..., None]
        if setting.ground == "plaza":
            for centre in (-12.0, 0.0, 12.0):
                radius = np.hypot(x - centre, z - 0.55 * setting.wall)
                base[(radius > 4.2) & (radius < 4.7)] *= 0.78
                base[radius < 1.4] *= 0.85
    if setting.road is not None:
        near, far = setting.road
        on_road = (z > near) & (z < far)
        asphalt = np.array((92, 90, 88), np.float32) * (1 + 0.04 * patches + 0.06 * grit)[..., None]
        base = np.where(on_road[..., None], asphalt, base)
        middle = (near + far) / 2
        dash = on_road & (np.abs(z - middle) < 0.08) & (np.mod(x, 4) < 2)
        base[dash] = (205, 208, 210)
        for edge in (near, far):
            base[np.abs(z - edge) < 0.14] = (176, 180, 182)
        if setting.crossing is not None:
            stripe = on_road & (np.abs(x - setting.crossing) < 1.9) & (np.mod(x, 0.95) < 0.5)
            base[stripe] = (212, 214, 216)
    foot = np.clip((setting.wall - z) / 1.5, 0, 1)
    base *= (0.72 + 0.28 * foot)[..., None]  # it is darker where the houses meet the ground
    return cv2.resize(base, (2 * half, last - first), interpolation=cv2.INTER_AREA)


_PLASTER = palette("b0cede 96bad6 c4ccce 607aa4 a8b0c6 b2c4b0 788696 92a2cc")

_AWNING = palette("3c3caa 5a823c 965a32 46a0c8 5a466e")


def _paint_front(
    lens: Lens,
    setting: Setting,
    half: int,
    sky_rows: int,
    rows: int,
    wall_drop: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Sky, and a row of houses with shops, as a flat front."""
    n = _OVERSAMPLING
    width, height = 2 * half * n, rows * n
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    sky = (1 - ramp) * np.array((226, 186, 142), np.float32) + ramp * np.array((238, 230, 220), np.float32)
    picture = np.ascontiguousarray(np.broadcast_to(sky, (height, width, 3)))
    clouds = cv2.GaussianBlur(np.clip(_noise((height, width), 60 * n, rng), 0, None), (0, 0), 4 * n)
    picture += (238 - picture) * np.clip(0.8 * clouds, 0, 0.9)[..., None]
    ppm = n * lens.focal / setting.wall
    foot = (sky_rows + wall_drop) * n
    if setting.ground == "park":
        _paint_trees(picture, ppm, foot, rng)
    else:
        x = -rng.uniform(0, 4) * ppm
        while x < width:
            if rng.random() < 0.12:  # a side street: sky and distant trees
                gap = rng.uniform(2.5, 4.5) * ppm
                _paint_trees(picture[:, max(0, int(x)) : int(x + gap)], 0.6 * ppm, foot, rng)
                x += gap
            metres = rng.uniform(6.5, 12)
            _paint_house(picture, x, metres, ppm, foot, rng)
            x += metres * ppm
    return cv2.resize(picture, (width // n, rows), interpolation=cv2.INTER_AREA)


def _paint_trees(picture: np.ndarray, ppm: float, foot: float, rng: np.random.Generator) -> None:
    """A line of distant trees."""
    width = picture.shape[1]
    if width < 4:
        return
    base = int(foot)
    x = 0.0
    while x < width + 3 * ppm:
        radius = rng.uniform(1.6, 2.8) * ppm
        top = rng.uniform(2.6, 5.0) * ppm
        shade = rng.uniform(0.8, 1.1)
        for _ in range(40):
            cx = int(x + rng.normal(0, 0.45 * radius))
            cy = int(base - top - rng.normal(0, 0.45 * radius))
            light = shade * (1.0 + 0.3 * (base - top - cy) / radius)
            colour = (74 * light, 118 * light, 92 * light)
            cv2.circle(picture, (cx, cy), max(1, int(radius * rng.uniform(0.15, 0.35))), colour, -1)
        cv2.rectangle(picture, (int(x - 0.12 * ppm), int(base - top)), (int(x + 0.12 * ppm), base), (66, 80, 92), -1)
        x += radius * rng.uniform(0.9, 1.7)
    hedge = max(0, int(foot - 1.4 * ppm))
    picture[hedge:base] = (
        np.asarray((58, 96, 70), np.float32) + _noise((base - hedge, width), max(2, int(0.3 * ppm)), rng)[..., None] * 8
    )


def _paint_house(
    picture: np.ndarray, left: float, metres: float, ppm: float, foot: float, rng: np.random.Generator
) -> None:
    """One house: shops on the ground floor, windows above, a cornice."""
    wall = np.clip(np.asarray(_PLASTER[int(rng.integers(len(_PLASTER)))]) + rng.normal(0, 9, 3), 50, 235)
    floor = rng.uniform(2.9, 3.4)
    floors = int(rng.integers(3, 6))
    shop = rng.uniform(3.2, 3.8)
    total = shop + floors * floor + 0.5

    def fill(x0: float, y0: float, x1: float, y1: float, colour: np.ndarray | Colour) -> None:
        """A rectangle in metres from the house's lower left corner."""
        p = (round(left + x0 * ppm), round(foot - y1 * ppm))
        q = (round(left + x1 * ppm) - 1, round(foot - y0 * ppm) - 1)
        if q[0] >= p[0] and q[1] >= p[1]:
            cv2.rectangle(picture, p, q, tuple(float(c) for c in colour), -1)

    fill(0, 0, metres, total, wall)
    fill(0, 0, metres, 0.4, wall * 0.6)
    fill(0, total - 0.5, metres, total, wall * 0.82)
    fill(0, total - 0.62, metres, total - 0.5, wall * 0.6)
    count = max(2, int(metres / rng.uniform(1.9, 2.6)))
    pitch = metres / count
    w, h = rng.uniform(0.9, 1.25), rng.uniform(1.5, 2.0)
    frame = wall * 1.15 if rng.random() < 0.6 else np.array((216.0, 222.0, 224.0))
    shutters = rng.random() < 0.3
    shutter = wall * np.array((0.6, 0.75, 0.55))
    for level in range(floors):
        y = shop + level * floor + 0.75
        for number in range(count):
            x = (number + 0.5) * pitch - w / 2
            fill(x - 0.1, y - 0.1, x + w + 0.1, y + h + 0.1, np.clip(frame, 0, 240))
            glass = np.array((112.0, 98, 84)) * rng.uniform(0.6, 1.25)
            fill(x, y, x + w, y + h, glass)
            if rng.random() < 0.45:
                curtain = rng.uniform(0.15, 0.4) * w
                fill(x, y, x + curtain, y + h, (190, 200, 206))
                fill(x + w - curtain, y, x + w, y + h, (190, 200, 206))
            fill(x + w / 2 - 0.04, y, x + w / 2 + 0.04, y + h, np.clip(frame, 0, 240))
            fill(x - 0.15, y - 0.2, x + w + 0.15, y - 0.1, wall * 0.75)
            if shutters:
                fill(x - 0.55, y, x - 0.12, y + h, shutter)
                fill(x + w + 0.12, y, x + w + 0.55, y + h, shutter)
    sign = np.asarray(_AWNING[int(rng.integers(len(_AWNING)))], np.float64)
    fill(0.2, shop - 0.75, metres - 0.2, shop - 0.15, sign * 0.9)
    letters = int(rng.integers(5, 10))
    start = rng.uniform(0.5, max(0.6, metres - 0.5 * letters))
    for number in range(letters):
        x = start + 0.42 * number
        if x < metres - 0.5:
            fill(x, shop - 0.62, x + rng.uniform(0.14, 0.32), shop - 0.28, (226, 232, 234))
    bays = max(1, int(metres / 3))
    door = int(rng.integers(bays))
    for number in range(bays):
        x0, x1 = number * metres / bays + 0.3, (number + 1) * metres / bays - 0.3
        if number == door:
            fill(x0 + 0.3, 0, x0 + 1.5, 2.3, sign * 0.55)
            fill(x0 + 0.45, 0.9, x0 + 1.35, 2.15, (104, 94, 84))
            x0 += 1.8
        if x1 - x0 > 0.6:
            fill(x0, 0.5, x1, 2.6, (96, 88, 80))
            for x in np.arange(x0 + 0.15, x1 - 0.25, 0.42):
                colour = np.asarray(_AWNING[int(rng.integers(len(_AWNING)))], np.float64)
                fill(x, 0.6, x + 0.3, 0.6 + rng.uniform(0.4, 1.3), 0.4 * colour + 60)
    if rng.random() < 0.55:
        for number in range(int(metres / 0.5)):
            x = 0.1 + 0.5 * number
            stripe = sign if number % 2 else np.array((224.0, 228.0, 230.0))
            fill(x, 2.35, min(x + 0.5, metres), 2.85, stripe)
        fill(0.1, 2.28, metres - 0.1, 2.36, sign * 0.5)
