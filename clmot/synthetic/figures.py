"""Drawn people: what they wear and what they look like from four sides while walking, standing and sitting.

A figure is painted as a map of body parts in twice the needed resolution, coloured from the person's outfit,
shaded as if lit from the upper left, and reduced. Units are body heights: y upwards from the ground, x to the
right of the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal, TypeVar

import cv2
import numpy as np

from clmot.synthetic.sprites import Sprite, make_sprite

Facing = Literal["left", "right", "front", "back"]
Pose = Literal["walk", "stand", "sit"]

WALK_PHASES = 8
"""Drawings of one stride (two steps)."""

_HALF_WIDTH = 0.36
_TOP = 1.04
_BOTTOM = 0.03
"""The canvas around a figure, in body heights."""

Colour = tuple[int, int, int]  # BGR
Point = tuple[float, float]


class Part(IntEnum):
    """What a pixel of a figure shows."""

    NOTHING = 0
    SKIN = 1
    HAIR = 2
    SHIRT = 3
    SLEEVE = 4
    SLEEVE_FAR = 5
    LEG = 6
    LEG_FAR = 7
    SHOE = 8
    BAG = 9
    STRAP = 10
    HAT = 11
    ACCENT = 12
    CALF = 13
    CALF_FAR = 14
    SKIN_FAR = 15
    EYE = 16


@dataclass(frozen=True)
class Outfit:
    """Everything that tells one person from another."""

    skin: Colour
    hair: Colour
    hair_style: Literal["short", "long", "bun", "bald"]
    shirt: Colour
    second: Colour
    """The other colour of the shirt's pattern."""
    pattern: Literal["plain", "rings", "bars", "checks", "halves"]
    accent: Colour
    front: Literal["plain", "logo", "open", "scarf"]
    sleeves: Literal["short", "long"]
    bottom: Literal["trousers", "shorts", "skirt", "coat"]
    legs: Colour
    shoes: Colour
    bag: Literal["none", "backpack", "shoulder", "carrier"]
    bag_colour: Colour
    hat: Literal["none", "cap", "beanie", "brim"]
    hat_colour: Colour
    build: float
    """Breadth of the body, 1 = average."""
    height: float
    """Metres."""


def palette(text: str) -> tuple[Colour, ...]:
    """Colours as six hexadecimal digits each, BGR."""
    return tuple((one[0], one[1], one[2]) for one in map(bytes.fromhex, text.split()))


SKINS = palette("bacef0 a0bce6 80a4d4 6086b8 42608e 304668")
HAIRS = palette("18181c 1e2838 2a4264 3c6ea0 6eaacd 96989c 1e3c8c")
SHIRTS = palette(
    "e8e8e4 2c2c30 969490 3232b2 965028 c4965c 467834 3caad2 466ed6 8c3c6e aa96dc 78965a 3c4e70 5a3224 8cbed6 6e283c"
)
LEGS = palette("5a3a28 765438 26262a 3c3e42 6e8ea8 3e5870 96948e ced0d2 324638")
SHOES = palette("1c1c20 e1e1e1 284268 323296")


T = TypeVar("T")


def _pick(rng: np.random.Generator, options: tuple[T, ...], weights: tuple[float, ...] | None = None) -> T:
    """One of the options, equally likely or by weight."""
    p = None if weights is None else np.asarray(weights) / sum(weights)
    return options[int(rng.choice(len(options), p=p))]


def _varied(colour: Colour, rng: np.random.Generator, spread: float = 12) -> Colour:
    """A shade of a colour: no two shops sell the same blue."""
    value = np.clip(np.asarray(colour) + rng.normal(0, spread, 3), 12, 246)
    return int(value[0]), int(value[1]), int(value[2])


def random_outfit(rng: np.random.Generator) -> Outfit:
    """Someone new."""
    child = rng.random() < 0.06
    shirt = _varied(_pick(rng, SHIRTS), rng)
    return Outfit(
        skin=_varied(_pick(rng, SKINS, (4, 5, 4, 3, 2, 2)), rng, 5),
        hair=_varied(_pick(rng, HAIRS, (5, 5, 4, 3, 2, 3, 1)), rng, 6),
        hair_style=_pick(rng, ("short", "long", "bun", "bald"), (5, 4, 1, 1)),
        shirt=shirt,
        second=_varied(_pick(rng, SHIRTS), rng),
        pattern=_pick(rng, ("plain", "rings", "bars", "checks", "halves"), (9, 3, 1, 2, 2)),
        accent=_varied(_pick(rng, SHIRTS), rng),
        front=_pick(rng, ("plain", "logo", "open", "scarf"), (5, 3, 3, 1)),
        sleeves=_pick(rng, ("short", "long"), (2, 3)),
        bottom=_pick(rng, ("trousers", "shorts", "skirt", "coat"), (9, 2, 2, 1)),
        legs=_varied(_pick(rng, LEGS), rng),
        shoes=_varied(_pick(rng, SHOES, (4, 3, 2, 1)), rng, 6),
        bag=_pick(rng, ("none", "backpack", "shoulder", "carrier"), (6, 3, 3, 2)),
        bag_colour=_varied(_pick(rng, SHIRTS), rng),
        hat=_pick(rng, ("none", "cap", "beanie", "brim"), (9, 2, 1, 1)),
        hat_colour=_varied(_pick(rng, SHIRTS), rng),
        build=float(rng.uniform(0.88, 1.22)),
        height=float(rng.uniform(1.15, 1.4) if child else np.clip(rng.normal(1.72, 0.08), 1.52, 1.94)),
    )


_UNIFORM = ("shirt", "second", "pattern", "accent", "front", "sleeves", "bottom", "legs", "hat", "hat_colour")


def in_uniform(outfit: Outfit, model: Outfit) -> Outfit:
    """`outfit`'s wearer dressed like `model`: face, hair, build and bag stay the person's own."""
    return replace(outfit, **{name: getattr(model, name) for name in _UNIFORM})


class _Painter:
    """Draws shapes given in body heights onto a map of parts."""

    _SHIFT = 4  # sub-pixel bits of OpenCV's drawing functions

    def __init__(self, body_pixels: int) -> None:
        self.scale = body_pixels
        self.parts = np.zeros((round((_TOP + _BOTTOM) * body_pixels), 2 * round(_HALF_WIDTH * body_pixels)), np.uint8)

    def _at(self, x: float, y: float) -> tuple[int, int]:
        unit = self.scale * (1 << self._SHIFT)
        return round((x + _HALF_WIDTH) * unit), round((_TOP - y) * unit)

    def disc(self, x: float, y: float, rx: float, ry: float, part: Part) -> None:
        unit = self.scale * (1 << self._SHIFT)
        axes = (max(1, round(rx * unit)), max(1, round(ry * unit)))
        cv2.ellipse(self.parts, self._at(x, y), axes, 0, 0, 360, int(part), -1, cv2.LINE_8, self._SHIFT)

    def area(self, points: list[tuple[float, float]], part: Part) -> None:
        corners = np.array([self._at(x, y) for x, y in points], np.int32)
        cv2.fillPoly(self.parts, [corners], int(part), cv2.LINE_8, self._SHIFT)

    def limb(self, start: tuple[float, float], end: tuple[float, float], r0: float, r1: float, part: Part) -> None:
        """A tapering limb with round ends of radius r0 and r1."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = math.hypot(dx, dy) or 1.0
        nx, ny = -dy / length, dx / length
        self.area(
            [
                (start[0] + nx * r0, start[1] + ny * r0),
                (end[0] + nx * r1, end[1] + ny * r1),
                (end[0] - nx * r1, end[1] - ny * r1),
                (start[0] - nx * r0, start[1] - ny * r0),
            ],
            part,
        )
        self.disc(*start, r0, r0, part)
        self.disc(*end, r1, r1, part)


def _side_legs(phase: float | None) -> tuple[float, list[tuple[Point, Point, Point]]]:
    """Hip height and, for the far and the near leg, knee, ankle and toe, of a person walking to the right."""
    thigh, shin = 0.245, 0.215
    legs = []
    for offset in (0.5, 0.0):
        if phase is None:
            swing, bend = (0.06 if offset else -0.03), 0.03
        else:
            angle = 2 * math.pi * (phase + offset)
            swing = 0.47 * math.sin(angle) + 0.06
            bend = 0.1 + 0.85 * max(0.0, math.cos(angle))  # the knee folds while the leg comes forward
        knee = (thigh * math.sin(swing), -thigh * math.cos(swing))
        ankle = (knee[0] + shin * math.sin(swing - bend), knee[1] - shin * math.cos(swing - bend))
        toe_angle = -0.9 * max(0.0, bend - 0.25)
        toe = (ankle[0] + 0.085 * math.cos(toe_angle), ankle[1] - 0.012 + 0.085 * math.sin(toe_angle))
        legs.append((knee, ankle, toe))
    hip = 0.024 - min(min(ankle[1] - 0.006, toe[1]) for _, ankle, toe in legs)
    return hip, legs


def _paint_side(painter: _Painter, outfit: Outfit, phase: float | None, sitting: bool) -> None:
    """A person seen from the side, facing right."""
    b = outfit.build
    if sitting:
        hip_y = 0.27
        legs = [((0.22, 0.0), (0.23 + d, -0.235), (0.31 + d, -0.245)) for d in (0.05, -0.02)]
    else:
        hip_y, legs = _side_legs(phase)
    hip = (0.0, hip_y)
    shoulder = (0.015, hip_y + 0.315)
    head = (0.03, hip_y + 0.445)
    swing = 0.0 if phase is None else 0.5 * math.sin(2 * math.pi * phase)
    if sitting:
        swing = 0.55

    def place(point: tuple[float, float]) -> tuple[float, float]:
        return point[0] + hip[0], point[1] + hip[1]

    def arm(angle: float, sleeve: Part, skin: Part) -> tuple[float, float]:
        elbow = (shoulder[0] + 0.15 * math.sin(angle), shoulder[1] - 0.15 * math.cos(angle))
        fore = angle + 0.35 + max(0.0, angle) * 0.6
        hand = (elbow[0] + 0.14 * math.sin(fore), elbow[1] - 0.14 * math.cos(fore))
        painter.limb(elbow, hand, 0.025 * b, 0.02, sleeve if outfit.sleeves == "long" else skin)
        painter.disc(*hand, 0.021, 0.024, skin)
        painter.limb(shoulder, elbow, 0.034 * b, 0.028 * b, sleeve)
        return hand

    arm(swing, Part.SLEEVE_FAR, Part.SKIN_FAR)
    for (knee, ankle, toe), thigh_part, calf_part in zip(
        legs, (Part.LEG_FAR, Part.LEG), (Part.CALF_FAR, Part.CALF), strict=True
    ):
        k, a, t = place(knee), place(ankle), place(toe)
        painter.limb((a[0] - 0.012, a[1] - 0.005), t, 0.022, 0.017, Part.SHOE)
        painter.limb(k, a, 0.038 * b, 0.024, calf_part)
        painter.limb(hip, k, 0.062 * b, 0.042 * b, thigh_part)
    if outfit.bag == "backpack" and not sitting:
        painter.limb((-0.09, hip_y + 0.1), (-0.08, hip_y + 0.27), 0.055, 0.05, Part.BAG)
    depth = 0.072 * b
    painter.area(
        [
            (hip[0] - 0.066 * b, hip_y - 0.03),
            (hip[0] + 0.062 * b, hip_y - 0.03),
            (shoulder[0] + depth, shoulder[1] - 0.08),
            (shoulder[0] + 0.05, shoulder[1] + 0.025),
            (shoulder[0] - 0.045, shoulder[1] + 0.025),
            (shoulder[0] - depth, shoulder[1] - 0.07),
        ],
        Part.SHIRT,
    )
    if outfit.front == "open":
        painter.area(
            [
                (hip[0] + 0.03, hip_y - 0.03),
                (hip[0] + 0.062 * b, hip_y - 0.03),
                (shoulder[0] + depth, shoulder[1] - 0.08),
                (shoulder[0] + 0.045, shoulder[1] + 0.02),
            ],
            Part.ACCENT,
        )
    _paint_skirt(painter, outfit, hip, 0.07 * b, 0.105 * b, sitting)
    painter.limb((shoulder[0], shoulder[1]), (head[0] - 0.01, head[1] - 0.04), 0.03, 0.028, Part.SKIN)
    if outfit.front == "scarf":
        painter.disc(shoulder[0] + 0.01, shoulder[1] + 0.035, 0.05, 0.025, Part.ACCENT)
    style = outfit.hair_style
    if style == "long":
        painter.area(
            [
                (head[0] - 0.06, head[1] + 0.02),
                (head[0] + 0.0, head[1] + 0.02),
                (head[0] - 0.02, head[1] - 0.12),
                (head[0] - 0.085, head[1] - 0.13),
            ],
            Part.HAIR,
        )
    if style != "bald":
        painter.disc(head[0] - 0.007, head[1] + 0.008, 0.06, 0.066, Part.HAIR)
    painter.disc(head[0] + 0.01, head[1] - 0.012, 0.047, 0.055, Part.SKIN)
    painter.disc(head[0] + 0.056, head[1] - 0.015, 0.01, 0.01, Part.SKIN)  # the nose tells where one looks
    if style == "bald":
        painter.disc(*head, 0.055, 0.064, Part.SKIN)
    if style == "bun":
        painter.disc(head[0] - 0.068, head[1] + 0.03, 0.026, 0.026, Part.HAIR)
    painter.disc(head[0] + 0.037, head[1] - 0.002, 0.008, 0.007, Part.EYE)
    if outfit.hat != "none":
        painter.disc(head[0] - 0.003, head[1] + 0.032, 0.062, 0.045, Part.HAT)
        if outfit.hat == "cap":
            painter.limb((head[0] + 0.05, head[1] + 0.02), (head[0] + 0.1, head[1] + 0.012), 0.01, 0.008, Part.HAT)
        elif outfit.hat == "brim":
            painter.limb((head[0] - 0.09, head[1] + 0.012), (head[0] + 0.09, head[1] + 0.012), 0.01, 0.01, Part.HAT)
    hand = arm(-swing if not sitting else swing + 0.1, Part.SLEEVE, Part.SKIN)
    if outfit.bag == "shoulder":
        painter.limb((shoulder[0], shoulder[1]), (hip[0] - 0.02, hip_y + 0.03), 0.008, 0.008, Part.STRAP)
        painter.limb((hip[0] - 0.055, hip_y + 0.01), (hip[0] + 0.035, hip_y + 0.01), 0.042, 0.042, Part.BAG)
    elif outfit.bag == "carrier" and not sitting:
        painter.limb((hand[0], hand[1] - 0.06), (hand[0], hand[1] - 0.13), 0.045, 0.055, Part.BAG)
    elif outfit.bag == "backpack" and not sitting:
        painter.limb((shoulder[0] + 0.02, shoulder[1]), (shoulder[0] - 0.03, hip_y + 0.15), 0.009, 0.009, Part.STRAP)


def _paint_skirt(
    painter: _Painter, outfit: Outfit, hip: tuple[float, float], top: float, hem: float, sitting: bool
) -> None:
    """A skirt or the tails of a coat."""
    if outfit.bottom not in ("skirt", "coat") or sitting:
        return
    part = Part.LEG if outfit.bottom == "skirt" else Part.SHIRT
    painter.area(
        [
            (hip[0] - top, hip[1] + 0.02),
            (hip[0] + top, hip[1] + 0.02),
            (hip[0] + hem, hip[1] - 0.21),
            (hip[0] - hem, hip[1] - 0.21),
        ],
        part,
    )


def _paint_front(painter: _Painter, outfit: Outfit, phase: float | None, back: bool, sitting: bool) -> None:
    """A person seen from the front or the back."""
    b = outfit.build
    hip_y = 0.27 if sitting else 0.475
    bob = 0.0 if phase is None else 0.008 * math.cos(4 * math.pi * phase)
    hip_y += bob
    shoulder_y = hip_y + 0.32
    head_y = hip_y + 0.45
    half = 0.105 * b
    for side, offset in ((-1, 0.0), (1, 0.5)):
        lift, out = 0.0, 0.0
        if phase is not None:
            angle = 2 * math.pi * (phase + offset)
            lift = 0.055 * max(0.0, math.cos(angle))
            out = 0.022 * math.sin(angle)  # the leg in front, nearer to us, ends a little lower
        x = side * 0.052 * b
        if sitting:
            k, a = (side * 0.07, 0.24), (side * 0.065, 0.03)
        else:
            k = (x * 1.05, 0.255 + lift * 0.8)
            a = (x * 0.95, 0.04 + lift + max(0.0, out))
        far = phase is not None and (out > 0) != back
        painter.limb((a[0], a[1] - 0.01), (a[0] + side * 0.008, a[1] - 0.02), 0.027, 0.024, Part.SHOE)
        painter.limb(k, a, 0.038 * b, 0.026, Part.CALF_FAR if far else Part.CALF)
        painter.limb((x, hip_y - 0.01), k, 0.053 * b, 0.042 * b, Part.LEG_FAR if far else Part.LEG)
    hands = []
    for side, offset in ((-1, 0.5), (1, 0.0)):
        sway = 0.0 if phase is None else math.sin(2 * math.pi * (phase + offset))
        shoulder = (side * (half - 0.005), shoulder_y - 0.02)
        elbow = (side * (half + 0.03), shoulder_y - 0.155 + 0.012 * sway)
        hand = (side * (half + 0.028 - 0.012 * max(0.0, sway)), shoulder_y - 0.29 + 0.045 * max(0.0, sway))
        painter.limb(elbow, hand, 0.025 * b, 0.02, Part.SLEEVE_FAR if outfit.sleeves == "long" else Part.SKIN)
        painter.disc(*hand, 0.022, 0.025, Part.SKIN)
        painter.limb(shoulder, elbow, 0.035 * b, 0.028 * b, Part.SLEEVE)
        hands.append(hand)
    painter.area(
        [
            (-0.088 * b, hip_y - 0.03),
            (0.088 * b, hip_y - 0.03),
            (0.082 * b, hip_y + 0.1),
            (half, shoulder_y - 0.05),
            (half - 0.02, shoulder_y + 0.005),
            (0.035, shoulder_y + 0.03),
            (-0.035, shoulder_y + 0.03),
            (-half + 0.02, shoulder_y + 0.005),
            (-half, shoulder_y - 0.05),
            (-0.082 * b, hip_y + 0.1),
        ],
        Part.SHIRT,
    )
    if not back and outfit.front == "open":
        painter.area(
            [(-0.02, hip_y - 0.03), (0.02, hip_y - 0.03), (0.034, shoulder_y + 0.02), (-0.034, shoulder_y + 0.02)],
            Part.ACCENT,
        )
    elif not back and outfit.front == "logo":
        painter.disc(0.0, hip_y + 0.2, 0.045, 0.038, Part.ACCENT)
    _paint_skirt(painter, outfit, (0.0, hip_y), 0.09 * b, 0.125 * b, sitting)
    painter.limb((0, shoulder_y + 0.01), (0, head_y - 0.04), 0.034, 0.03, Part.SKIN)
    if outfit.front == "scarf":
        painter.disc(0, shoulder_y + 0.032, 0.055, 0.026, Part.ACCENT)
    style = outfit.hair_style
    if style == "long":
        painter.area(
            [(-0.06, head_y + 0.02), (0.06, head_y + 0.02), (0.075, head_y - 0.13), (-0.075, head_y - 0.13)],
            Part.HAIR,
        )
        if not back:
            painter.limb((0, shoulder_y + 0.005), (0, head_y - 0.04), 0.036, 0.03, Part.SKIN)
    if style != "bald":
        painter.disc(0, head_y + 0.006, 0.058, 0.067, Part.HAIR)
    if style == "bald":
        painter.disc(0, head_y, 0.052, 0.065, Part.SKIN)
    elif not back:
        painter.disc(0, head_y - 0.015, 0.046, 0.054, Part.SKIN)
    else:
        painter.disc(0, head_y - 0.05, 0.03, 0.02, Part.SKIN if style == "short" else Part.HAIR)
        if style == "bun":
            painter.disc(0, head_y + 0.05, 0.03, 0.028, Part.HAIR)
    if not back:
        for side in (-1, 1):
            painter.disc(side * 0.018, head_y - 0.003, 0.008, 0.007, Part.EYE)
    if outfit.hat != "none":
        painter.disc(0, head_y + 0.032, 0.06, 0.044, Part.HAT)
        if outfit.hat == "cap" and not back:
            painter.disc(0, head_y + 0.012, 0.056, 0.012, Part.HAT)
        elif outfit.hat == "brim":
            painter.limb((-0.09, head_y + 0.012), (0.09, head_y + 0.012), 0.011, 0.011, Part.HAT)
    if outfit.bag == "backpack":
        if back:
            painter.limb((0, hip_y + 0.09), (0, hip_y + 0.25), 0.075, 0.07, Part.BAG)
        else:
            for side in (-1, 1):
                painter.limb((side * 0.06, shoulder_y), (side * 0.07, hip_y + 0.12), 0.011, 0.011, Part.STRAP)
    elif outfit.bag == "shoulder":
        side = -1 if back else 1
        painter.limb((-side * 0.07, shoulder_y), (side * 0.1, hip_y + 0.03), 0.009, 0.009, Part.STRAP)
        painter.limb((side * 0.105, hip_y + 0.01), (side * 0.115, hip_y - 0.03), 0.045, 0.045, Part.BAG)
    elif outfit.bag == "carrier" and not sitting:
        x, y = hands[0 if back else 1]
        painter.limb((x, y - 0.06), (x, y - 0.13), 0.04, 0.05, Part.BAG)


def _colours(outfit: Outfit) -> np.ndarray:
    """(len(Part), 3) uint8 BGR."""

    def dim(colour: Colour, factor: float) -> tuple[float, ...]:
        return tuple(factor * channel for channel in colour)

    calf = outfit.legs if outfit.bottom == "trousers" else outfit.skin
    if outfit.bottom == "coat":
        calf = outfit.legs
    table = np.zeros((len(Part), 3), np.float32)
    for part, colour in (
        (Part.SKIN, outfit.skin),
        (Part.SKIN_FAR, dim(outfit.skin, 0.75)),
        (Part.HAIR, outfit.hair),
        (Part.SHIRT, outfit.shirt),
        (Part.SLEEVE, dim(outfit.shirt, 0.92)),
        (Part.SLEEVE_FAR, dim(outfit.shirt, 0.72)),
        (Part.LEG, outfit.legs),
        (Part.LEG_FAR, dim(outfit.legs, 0.72)),
        (Part.CALF, calf),
        (Part.CALF_FAR, dim(calf, 0.72)),
        (Part.SHOE, outfit.shoes),
        (Part.BAG, outfit.bag_colour),
        (Part.STRAP, dim(outfit.bag_colour, 0.7)),
        (Part.HAT, outfit.hat_colour),
        (Part.ACCENT, outfit.accent),
        (Part.EYE, dim(outfit.skin, 0.4)),
    ):
        table[part] = colour
    return table.round().astype(np.uint8)


def _second_colour(outfit: Outfit, shape: tuple[int, int], scale: float) -> np.ndarray | None:
    """(H, W) bool: where a patterned shirt shows its second colour; None for a plain one."""
    rows = (_TOP - np.arange(shape[0], dtype=np.float32) / scale)[:, None]
    columns = (np.arange(shape[1], dtype=np.float32) / scale - _HALF_WIDTH)[None, :]
    ring = np.mod(rows, 0.085) < 0.04
    bar = np.mod(columns + 0.5, 0.07) < 0.032
    if outfit.pattern == "rings":
        return np.broadcast_to(ring, shape)
    if outfit.pattern == "bars":
        return np.broadcast_to(bar, shape)
    if outfit.pattern == "checks":
        return ring ^ bar
    if outfit.pattern == "halves":
        return np.broadcast_to(rows < 0.64, shape)
    return None


def draw_person(outfit: Outfit, facing: Facing, pose: Pose, step: int, body_pixels: int) -> Sprite:
    """One drawing of a person, `body_pixels` high at its finest, `outfit.height` metres tall.

    `step` in 0..WALK_PHASES-1 is the moment within a stride and matters only while walking.
    """
    painter = _Painter(2 * body_pixels)
    phase = step / WALK_PHASES if pose == "walk" else None
    if facing in ("left", "right"):
        _paint_side(painter, outfit, phase, pose == "sit")
    else:
        _paint_front(painter, outfit, phase, facing == "back", pose == "sit")
    parts = painter.parts
    picture = _colours(outfit).take(parts, axis=0)
    second = _second_colour(outfit, parts.shape, painter.scale)
    if second is not None:
        cloth = (parts == Part.SHIRT) | (parts == Part.SLEEVE) | (parts == Part.SLEEVE_FAR)
        picture[second & cloth] = outfit.second
    size = (parts.shape[1] // 2, parts.shape[0] // 2)
    outline = (parts > 0).astype(np.uint8) * np.uint8(255)
    alpha = cv2.resize(outline, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    # Colour of empty pixels is 0, so the reduced picture comes out multiplied by its alpha.
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    if facing == "left":
        alpha, small = np.ascontiguousarray(alpha[:, ::-1]), small[:, ::-1]
    picture = small * _shading(alpha, body_pixels)[..., None]
    anchor = (size[0] / 2, _TOP * body_pixels)
    return make_sprite(picture, alpha, anchor, body_pixels / outfit.height)


def _shading(alpha: np.ndarray, body_pixels: int) -> np.ndarray:
    """(H, W) brightness of a body lit from the upper left: its blurred outline serves as its relief."""
    reach = max(1, body_pixels // 28)
    relief = cv2.blur(alpha, (4 * reach + 1, 4 * reach + 1))
    slope_x = np.zeros_like(relief)
    slope_x[:, reach:-reach] = relief[:, 2 * reach :] - relief[:, : -2 * reach]
    slope_y = np.zeros_like(relief)
    slope_y[reach:-reach] = relief[2 * reach :] - relief[: -2 * reach]
    downwards = np.linspace(1.06, 0.9, alpha.shape[0], dtype=np.float32)[:, None]
    return downwards * (0.78 + 0.24 * relief + 0.4 * slope_x + 0.25 * slope_y)
