"""Things that stand or drive in a street, drawn from the side, and their class in the ground truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from clmot.synthetic.figures import Colour
from clmot.synthetic.sprites import Sprite, make_sprite

_OVERSAMPLING = 2
_SHIFT = 4  # sub-pixel bits of OpenCV's drawing functions


class _Sheet:
    """A transparent sheet of `width` x `height` metres, drawn on in metres: x from the middle, y upwards."""

    def __init__(self, width: float, height: float, pixels_per_metre: float) -> None:
        self.scale = pixels_per_metre * _OVERSAMPLING
        self.width = width
        self.height = height
        shape = (int(np.ceil(height * self.scale)), int(np.ceil(width * self.scale)))
        self.picture = np.zeros((*shape, 4), np.float32)

    def at(self, x: float, y: float) -> tuple[int, int]:
        unit = self.scale * (1 << _SHIFT)
        return round((x + self.width / 2) * unit), round((self.height - y) * unit)

    def area(self, points: list[tuple[float, float]], colour: Colour, alpha: float = 1.0) -> None:
        corners = np.array([self.at(x, y) for x, y in points], np.int32)
        value = (*(alpha * channel for channel in colour), alpha)
        cv2.fillPoly(self.picture, [corners], value, cv2.LINE_8, _SHIFT)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, alpha: float = 1.0) -> None:
        self.area([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, alpha)

    def disc(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        unit = self.scale * (1 << _SHIFT)
        axes = (max(1, round(rx * unit)), max(1, round(ry * unit)))
        cv2.ellipse(self.picture, self.at(x, y), axes, 0, 0, 360, (*colour, 1.0), -1, cv2.LINE_8, _SHIFT)

    def line(self, start: tuple[float, float], end: tuple[float, float], width: float, colour: Colour) -> None:
        thickness = max(1, round(width * self.scale))
        cv2.line(self.picture, self.at(*start), self.at(*end), (*colour, 1.0), thickness, cv2.LINE_8, _SHIFT)

    def ring(self, x: float, y: float, radius: float, width: float, colour: Colour) -> None:
        unit = round(radius * self.scale * (1 << _SHIFT))
        thickness = max(1, round(width * self.scale))
        cv2.circle(self.picture, self.at(x, y), unit, (*colour, 1.0), thickness, cv2.LINE_8, _SHIFT)

    def sprite(self, pixels_per_metre: float, shade: bool = True) -> Sprite:
        """The drawing, darker towards the ground and the right."""
        rows, columns = self.picture.shape[:2]
        if shade:
            light = np.linspace(1.06, 0.84, rows, dtype=np.float32)[:, None]
            light = light * np.linspace(1.05, 0.92, columns, dtype=np.float32)[None, :]
            self.picture[..., :3] *= light[..., None]
        size = (max(1, columns // _OVERSAMPLING), max(1, rows // _OVERSAMPLING))
        small = cv2.resize(self.picture, size, interpolation=cv2.INTER_AREA)
        return make_sprite(small[..., :3], small[..., 3], (size[0] / 2, float(size[1])), pixels_per_metre)


def _foliage(sheet: _Sheet, rng: np.random.Generator, blobs: list[tuple[float, float, float]], green: Colour) -> None:
    """Leaves as many small discs, bright above and dark below, filling big discs (x, y, radius)."""
    spots = []
    for x, y, radius in blobs:
        for _ in range(int(60 * radius * radius) + 20):
            angle, distance = rng.uniform(0, 2 * np.pi), radius * np.sqrt(rng.uniform())
            spots.append((x + distance * np.cos(angle), y + distance * np.sin(angle), distance / radius))
    low = min(spot[1] for spot in spots)
    high = max(spot[1] for spot in spots)
    for x, y, _ in sorted(spots):
        bright = 0.55 + 0.55 * (y - low) / (high - low) + rng.uniform(-0.15, 0.15)
        size = rng.uniform(0.07, 0.16)
        value = tuple(int(np.clip(channel * bright, 0, 255)) for channel in green)
        sheet.disc(x, y, size * 1.2, size, (value[0], value[1], value[2]))


def _tree(sheet: _Sheet, rng: np.random.Generator) -> None:
    bark = (48, 62, 78)
    sheet.area([(-0.17, 0), (0.17, 0), (0.09, 2.3), (-0.09, 2.3)], bark)
    sheet.line((0, 1.9), (-0.7, 2.8), 0.09, bark)
    sheet.line((0, 1.9), (0.75, 2.9), 0.09, bark)
    crowns = [(0.0, 3.7, 1.0), (-0.9, 3.1, 0.75), (0.9, 3.2, 0.75), (0.1, 2.9, 0.7)]
    _foliage(sheet, rng, crowns, (52, int(rng.uniform(112, 138)), int(rng.uniform(70, 100))))


def _hedge(sheet: _Sheet, rng: np.random.Generator) -> None:
    sheet.box(-1.55, 0.0, 1.55, 0.22, (120, 132, 140))
    sheet.box(-1.45, 0.2, 1.45, 0.95, (30, 70, 42))
    _foliage(sheet, rng, [(x, 0.62, 0.4) for x in np.linspace(-1.15, 1.15, 6)], (48, 118, 72))


def _lamp(sheet: _Sheet, rng: np.random.Generator) -> None:
    grey = (62, 60, 56)
    sheet.box(-0.14, 0, 0.14, 0.5, grey)
    sheet.box(-0.07, 0.4, 0.07, 4.2, grey)
    sheet.box(-0.35, 4.15, 0.35, 4.28, grey)
    sheet.disc(-0.28, 4.05, 0.15, 0.13, (200, 236, 244))
    sheet.disc(0.28, 4.05, 0.15, 0.13, (200, 236, 244))


def _kiosk(sheet: _Sheet, rng: np.random.Generator) -> None:
    body = _paint(rng)
    sheet.box(-1.2, 0, 1.2, 2.35, body)
    sheet.box(-1.2, 0, 1.2, 0.25, (70, 70, 72))
    sheet.box(-0.95, 1.0, 0.55, 1.95, (58, 46, 38))
    for number in range(9):
        x = -0.88 + 0.16 * number
        sheet.box(x, 1.05, x + 0.12, 1.3 + 0.12 * (number % 3), _paint(rng))
    sheet.box(-1.02, 0.9, 0.62, 1.0, (206, 214, 218))
    sheet.box(0.7, 0.25, 1.1, 1.95, (88, 84, 78))
    for number in range(10):
        x = -1.4 + 0.28 * number
        stripe = (225, 228, 230) if number % 2 else _darker(body, 0.7)
        sheet.area([(x + 0.1, 2.45), (x + 0.34, 2.45), (x + 0.28, 2.08), (x, 2.08)], stripe)
    sheet.box(-1.3, 2.4, 1.3, 2.62, _darker(body, 0.6))
    for number in range(6):
        sheet.box(-0.9 + 0.3 * number, 2.46, -0.72 + 0.3 * number, 2.57, (210, 224, 230))


def _van(sheet: _Sheet, rng: np.random.Generator) -> None:
    body = _paint(rng, pale=True)
    sheet.area(
        [(-2.5, 0.35), (2.45, 0.35), (2.5, 1.05), (2.1, 1.25), (1.65, 2.05), (1.4, 2.2), (-2.4, 2.2), (-2.5, 2.05)],
        body,
    )
    sheet.area([(1.05, 1.25), (1.95, 1.25), (1.6, 1.95), (1.05, 1.95)], (74, 66, 58))
    sheet.box(-2.5, 0.35, 2.45, 0.55, (72, 72, 74))
    sheet.line((-0.2, 0.6), (-0.2, 2.1), 0.025, _darker(body, 0.75))
    sheet.line((0.95, 0.6), (0.95, 2.1), 0.025, _darker(body, 0.75))
    sheet.box(-1.9, 1.2, -0.5, 1.65, _paint(rng))
    sheet.box(2.3, 0.8, 2.48, 1.02, (190, 230, 240))
    sheet.box(-2.5, 0.9, -2.4, 1.3, (40, 40, 190))
    _wheels(sheet, (-1.6, 1.65), 0.36)


def _car(sheet: _Sheet, rng: np.random.Generator) -> None:
    body = _paint(rng)
    glass = (84, 74, 64)
    sheet.area([(-1.25, 0.85), (1.35, 0.85), (0.75, 1.4), (-0.85, 1.42)], _darker(body, 0.9))
    sheet.area([(-1.05, 0.88), (-0.05, 0.88), (-0.05, 1.34), (-0.75, 1.34)], glass)
    sheet.area([(0.05, 0.88), (1.15, 0.88), (0.68, 1.33), (0.05, 1.34)], glass)
    sheet.area([(-2.1, 0.3), (2.1, 0.3), (2.12, 0.65), (1.9, 0.84), (-1.95, 0.9), (-2.1, 0.8)], body)
    sheet.box(-2.1, 0.28, 2.1, 0.38, (52, 52, 54))
    sheet.box(1.92, 0.6, 2.1, 0.74, (200, 236, 244))
    sheet.box(-2.1, 0.62, -1.98, 0.8, (40, 40, 196))
    _wheels(sheet, (-1.3, 1.3), 0.32)


def _wheels(sheet: _Sheet, places: tuple[float, ...], radius: float) -> None:
    for x in places:
        sheet.disc(x, radius, radius, radius, (30, 30, 32))
        sheet.disc(x, radius, radius * 0.55, radius * 0.55, (160, 160, 160))


def _bicycle(sheet: _Sheet, rng: np.random.Generator) -> None:
    frame = _paint(rng)
    for x in (-0.52, 0.52):
        sheet.ring(x, 0.34, 0.31, 0.045, (34, 34, 36))
    for start, end in (
        ((-0.52, 0.34), (-0.08, 0.32)),
        ((-0.52, 0.34), (-0.18, 0.78)),
        ((-0.08, 0.32), (-0.2, 0.88)),
        ((-0.08, 0.32), (0.38, 0.78)),
        ((-0.18, 0.76), (0.38, 0.8)),
        ((0.52, 0.34), (0.36, 0.98)),
    ):
        sheet.line(start, end, 0.045, frame)
    sheet.line((-0.32, 0.9), (-0.1, 0.9), 0.07, (30, 30, 34))
    sheet.line((0.36, 0.98), (0.5, 1.02), 0.05, (40, 40, 44))


def _column(sheet: _Sheet, rng: np.random.Generator) -> None:
    """An advertising column with posters."""
    sheet.box(-0.62, 0.0, 0.62, 2.75, (176, 188, 190))
    sheet.box(-0.66, 0.0, 0.66, 0.3, (84, 96, 88))
    for number in range(3):
        x0 = -0.56 + 0.39 * number
        sheet.box(x0, 0.5, x0 + 0.35, 1.4, _paint(rng))
        sheet.box(x0, 1.5, x0 + 0.35, 2.5, _paint(rng))
        sheet.box(x0 + 0.05, 2.1, x0 + 0.3, 2.3, (228, 230, 232))
    sheet.area([(-0.75, 2.75), (0.75, 2.75), (0.62, 3.0), (-0.62, 3.0)], (74, 92, 70))
    sheet.disc(0, 3.0, 0.6, 0.22, (74, 92, 70))


def _shelter(sheet: _Sheet, rng: np.random.Generator) -> None:
    """A bus shelter seen from behind: glass between posts, one pane covered by a poster."""
    steel = (78, 74, 68)
    sheet.box(-1.8, 0.15, 1.8, 2.25, (206, 206, 190), 0.3)
    sheet.box(-1.8, 0.15, -0.6, 2.2, _paint(rng))
    sheet.box(-1.65, 1.4, -0.75, 2.0, _paint(rng))
    sheet.box(-1.55, 0.5, -0.85, 0.7, (226, 228, 228))
    for x in (-1.8, -0.6, 0.6, 1.74):
        sheet.box(x, 0, x + 0.07, 2.3, steel)
    sheet.box(-1.95, 2.25, 1.95, 2.45, steel)
    sheet.box(-0.4, 0.45, 1.6, 0.55, (80, 110, 140))


def _bench(sheet: _Sheet, rng: np.random.Generator) -> None:
    wood = (68, 104, 138)
    for x in (-0.75, 0.7):
        sheet.box(x, 0, x + 0.07, 0.85, (54, 54, 54))
    for y in (0.4, 0.56, 0.7):
        sheet.box(-0.9, y, 0.9, y + 0.1, wood)


def _planter(sheet: _Sheet, rng: np.random.Generator) -> None:
    sheet.area([(-0.5, 0), (0.5, 0), (0.6, 0.55), (-0.6, 0.55)], (116, 130, 142))
    _foliage(sheet, rng, [(-0.25, 0.75, 0.3), (0.25, 0.75, 0.3), (0, 0.95, 0.3)], (56, 128, 84))
    for _ in range(9):
        sheet.disc(rng.uniform(-0.45, 0.45), rng.uniform(0.65, 1.15), 0.06, 0.06, (80, 70, 214))


def _stall(sheet: _Sheet, rng: np.random.Generator) -> None:
    """A market stall."""
    cloth = _paint(rng)
    for x in (-1.4, 1.34):
        sheet.box(x, 0, x + 0.06, 2.0, (80, 96, 110))
    sheet.box(-1.45, 0.0, 1.45, 0.85, _darker(cloth, 0.75))
    for number in range(7):
        x = -1.35 + 0.39 * number
        produce = _paint(rng)
        sheet.box(x, 0.8, x + 0.35, 0.92, (80, 116, 150))
        for k in range(3):
            sheet.disc(x + 0.07 + 0.1 * k, 0.95, 0.06, 0.06, produce)
    for number in range(8):
        x = -1.6 + 0.4 * number
        stripe = (226, 230, 232) if number % 2 else cloth
        sheet.area([(x + 0.0, 1.9), (x + 0.4, 1.9), (0.85 * (x + 0.4), 2.45), (0.85 * x, 2.45)], stripe)


def _handcart(sheet: _Sheet, rng: np.random.Generator) -> None:
    """A pushcart with an awning, on two wheels."""
    wood = (74, 112, 150)
    for x in (-0.85, 0.79):
        sheet.box(x, 0.8, x + 0.06, 1.9, _darker(wood, 0.7))
    sheet.box(-0.95, 0.45, 0.95, 0.9, wood)
    sheet.line((0.9, 0.75), (1.45, 0.95), 0.07, _darker(wood, 0.7))
    for number in range(8):
        sheet.disc(-0.8 + 0.23 * number, 0.95, 0.1, 0.09, _paint(rng))
    cloth = _paint(rng)
    for number in range(6):
        x = -1.08 + 0.36 * number
        stripe = (226, 230, 232) if number % 2 else cloth
        sheet.area([(x, 1.8), (x + 0.36, 1.8), (0.85 * (x + 0.36), 2.2), (0.85 * x, 2.2)], stripe)
    _wheels(sheet, (-0.55, 0.55), 0.33)


def _statue(sheet: _Sheet, rng: np.random.Generator) -> None:
    """A monument on a stepped base."""
    stone, dark = (150, 160, 164), (96, 106, 92)
    sheet.box(-1.3, 0, 1.3, 0.3, _darker(stone, 0.85))
    sheet.box(-1.0, 0.3, 1.0, 0.6, stone)
    sheet.box(-0.65, 0.6, 0.65, 2.1, _darker(stone, 0.95))
    sheet.box(-0.75, 2.05, 0.75, 2.25, stone)
    sheet.area([(-0.35, 2.25), (0.35, 2.25), (0.25, 3.3), (0.32, 3.5), (-0.3, 3.5), (-0.22, 3.2)], dark)
    sheet.disc(0, 3.7, 0.16, 0.2, dark)
    sheet.line((0.25, 3.4), (0.55, 3.75), 0.12, dark)


def _pavilion(sheet: _Sheet, rng: np.random.Generator) -> None:
    """A glazed pavilion; its panes mirror people who pass in front."""
    steel = (70, 66, 62)
    sheet.box(-3.0, 0, 3.0, 2.9, (104, 92, 80))
    for number in range(4):
        x = -2.9 + 1.46 * number
        sheet.area([(x, 0.35), (x + 1.4, 0.35), (x + 1.4, 2.5), (x, 2.5)], (128, 112, 92))
        sheet.area([(x + 0.2, 0.35), (x + 0.6, 0.35), (x + 1.2, 2.5), (x + 0.8, 2.5)], (146, 130, 108))
    for number in range(5):
        x = -2.98 + 1.46 * number
        sheet.box(x, 0.3, x + 0.09, 2.6, steel)
    sheet.box(-3.1, 2.55, 3.1, 3.0, (88, 96, 104))
    sheet.box(-3.0, 0, 3.0, 0.35, (86, 92, 98))
    for number in range(8):
        sheet.box(-1.3 + 0.34 * number, 2.66, -1.08 + 0.34 * number, 2.9, (206, 220, 226))


def _billboard(sheet: _Sheet, rng: np.random.Generator) -> None:
    """A lit poster frame; a life-size figure is pasted onto it."""
    sheet.box(-0.12, 0, 0.12, 0.5, (70, 70, 70))
    sheet.box(-0.72, 0.35, 0.72, 2.55, (74, 72, 68))
    sheet.box(-0.62, 0.45, 0.62, 2.45, (214, 206, 176))
    sheet.box(-0.62, 2.1, 0.62, 2.45, _paint(rng))


def _paint(rng: np.random.Generator, pale: bool = False) -> Colour:
    """A colour that things are painted in."""
    choices = ((52, 52, 160), (132, 84, 48), (88, 116, 60), (60, 150, 190), (182, 184, 186), (74, 72, 70))
    base = (206, 208, 210) if pale else choices[int(rng.integers(len(choices)))]
    value = np.clip(np.asarray(base) + rng.normal(0, 14, 3), 20, 235)
    return int(value[0]), int(value[1]), int(value[2])


def _darker(colour: Colour, factor: float) -> Colour:
    return int(colour[0] * factor), int(colour[1] * factor), int(colour[2] * factor)


@dataclass(frozen=True)
class PropKind:
    """What there is to know about a sort of thing."""

    width: float
    """Metres, of the drawing."""
    height: float
    """Metres, of the drawing."""
    footprint: tuple[float, float]
    """Half width and half depth in metres of the ground it takes up."""
    category: int | None
    """MOTChallenge class of its ground-truth rows; None: not annotated."""
    hides: bool
    """Whether a person can stand behind it unseen."""
    draw: Callable[[_Sheet, np.random.Generator], None]


KINDS: dict[str, PropKind] = {
    "tree": PropKind(4.2, 4.9, (0.3, 0.3), 9, False, _tree),
    "hedge": PropKind(3.4, 1.3, (1.6, 0.4), 10, False, _hedge),
    "lamp": PropKind(1.0, 4.4, (0.2, 0.2), 9, False, _lamp),
    "kiosk": PropKind(3.0, 2.7, (1.25, 0.8), 11, True, _kiosk),
    "van": PropKind(5.2, 2.3, (2.55, 0.9), 3, True, _van),
    "car": PropKind(4.4, 1.5, (2.15, 0.8), 3, False, _car),
    "bicycle": PropKind(1.8, 1.1, (0.85, 0.2), 4, False, _bicycle),
    "column": PropKind(1.6, 3.3, (0.65, 0.6), 11, True, _column),
    "shelter": PropKind(4.0, 2.5, (1.9, 0.5), 9, True, _shelter),
    "bench": PropKind(2.0, 0.9, (0.95, 0.3), 10, False, _bench),
    "planter": PropKind(1.4, 1.4, (0.6, 0.5), 10, False, _planter),
    "stall": PropKind(3.4, 2.5, (1.5, 0.6), 9, True, _stall),
    "handcart": PropKind(3.0, 2.3, (1.0, 0.5), 6, True, _handcart),
    "statue": PropKind(2.8, 4.0, (1.3, 1.2), 11, True, _statue),
    "pavilion": PropKind(6.4, 3.1, (3.1, 1.5), None, True, _pavilion),
    "billboard": PropKind(1.6, 2.6, (0.75, 0.2), None, True, _billboard),
}

PAVILION_GLASS = (-2.9, 0.35, 2.9, 2.5)
"""Left, bottom, right, top of the mirroring panes in metres from the pavilion's foot."""

POSTER_FOOT = 0.5
"""Metres above the ground at which the figure on a billboard stands."""


def draw_prop(kind: str, rng: np.random.Generator, pixels_per_metre: float) -> Sprite:
    """A drawing of a thing; the same kind differs in colour and leaves by `rng`."""
    known = KINDS[kind]
    sheet = _Sheet(known.width, known.height, pixels_per_metre)
    known.draw(sheet, rng)
    return sheet.sprite(pixels_per_metre)
