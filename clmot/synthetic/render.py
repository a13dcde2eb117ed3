"""From a scene at one moment to an image and its annotations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from clmot.synthetic.camera import View
from clmot.synthetic.scenery import Backdrop, Setting
from clmot.synthetic.sprites import OPAQUE, Patch, Sprite, place

HAZE: tuple[float, float, float] = (214, 206, 200)
"""Colour (BGR) that distance adds."""
HAZE_PER_METRE = 0.006
SENSOR_NOISE = 1.4
"""Grey levels, standard deviation."""
LENS_BLUR = 0.45
"""Pixels, standard deviation."""
CONTACT_SHADOW = 0.42
"""Share of the light that is missing right under the feet."""
CAST_SHADOW = 0.32
"""Share of the light that is missing where the sun is blocked, at full sun."""
SUN_DIRECTION = (0.75, 0.9)
"""Metres sideways and away from the camera that a shadow reaches for each metre of height."""


class Key(NamedTuple):
    """What an annotation belongs to: a kind ("person", "prop", ...) and its number."""

    kind: str
    number: int


@dataclass(frozen=True)
class Thing:
    """Something upright that stands on the ground (or `above` it) and may be annotated."""

    sprite: Sprite
    x: float
    z: float
    key: Key
    category: int | None
    """MOTChallenge class; None: not annotated."""
    above: float = 0.0
    """Metres over the ground."""
    opacity: float = 1.0
    """Below 1 for reflections."""
    pane: tuple[float, float, float, float, float] | None = None
    """Only seen within an upright pane: left X, bottom, right X, top and depth in metres."""
    order: float | None = None
    """Depth at which it is drawn, where that is not `z` (a reflection lies in its pane)."""
    casts_shadow: bool = True
    contact: float = 0.0
    """Width in metres of the dark spot underneath; 0: none."""
    still: bool = False
    """Never moves, so that its picture can be kept while the camera stands."""


@dataclass(frozen=True)
class Annotation:
    """One ground-truth box."""

    key: Key
    category: int
    box: tuple[float, float, float, float]
    """Left, top, width, height in 0-based continuous pixels; the whole body, seen or not."""
    visibility: float
    """Share of the outline that the image shows."""


class Renderer:
    """Paints frames of one scene."""

    def __init__(self, backdrop: Backdrop, setting: Setting, rng: np.random.Generator) -> None:
        self.backdrop = backdrop
        self.setting = setting
        self.rng = rng
        self._light = np.asarray(setting.light, np.float32) / 255
        self._empty: tuple[View, np.ndarray] | None = None
        self._kept: dict[Key, Patch] = {}
        self._kept_view: View | None = None
        self._spot = _soft_disc()
        self._grain: np.ndarray | None = None

    def frame(self, view: View, things: Iterable[Thing]) -> tuple[np.ndarray, list[Annotation]]:
        """(height, width, 3) uint8 BGR, and the annotations in the order of `things`."""
        if self._empty is None or self._empty[0] != view:
            self._empty = (view, self.backdrop.seen_from(view, self.setting.wall))
        if self._kept_view != view:
            self._kept, self._kept_view = {}, view
        picture = self._empty[1].copy()
        listed = list(things)
        placed = [self._placed(thing, view) for thing in listed]
        far_first = sorted(range(len(listed)), key=lambda i: (-_order(listed[i]), i))
        for i in far_first:
            self._paint_shadows(picture, view, listed[i])
        owner = np.full(picture.shape[:2], -1, np.int32)
        silhouettes = np.zeros(len(listed), np.int64)
        for i in far_first:
            silhouettes[i] = self._paste(picture, owner, view, listed[i], placed[i], i)
        shown = np.bincount(owner[owner >= 0].ravel(), minlength=len(listed))
        annotations = []
        for i, thing in enumerate(listed):
            if thing.category is None:
                continue
            left, top, right, bottom = _box(thing, view)
            visibility = float(min(1.0, shown[i] / max(1, silhouettes[i])))
            annotations.append(
                Annotation(thing.key, thing.category, (left, top, right - left, bottom - top), visibility)
            )
        return self._developed(picture), annotations

    def _placed(self, thing: Thing, view: View) -> Patch | None:
        """The thing's picture at its place, None when it is out of the image."""
        left, top, right, bottom = _box(thing, view)
        if right < 0 or left > view.lens.width or bottom < 0 or top > view.lens.height:
            return None
        if thing.still and thing.key in self._kept:
            return self._kept[thing.key]
        column, row, pixels = view.project(thing.x, thing.z)
        patch = place(thing.sprite, column, row - thing.above * pixels, pixels)
        if thing.still:
            self._kept[thing.key] = patch
        return patch

    def _paint_shadows(self, picture: np.ndarray, view: View, thing: Thing) -> None:
        column, row, pixels = view.project(thing.x, thing.z)
        flat = view.lens.elevation / thing.z  # a metre along the ground, seen at this slant
        if thing.contact > 0:
            half_width = 0.5 * thing.contact * pixels
            half_height = max(1.0, half_width * min(0.6, 1.2 * flat))
            self._darken_disc(picture, column, row, half_width, half_height)
        if thing.casts_shadow and self.setting.sun > 0:
            self._darken_cast(picture, column, row, pixels, flat, thing.sprite)

    def _darken_disc(self, picture: np.ndarray, column: float, row: float, rx: float, ry: float) -> None:
        side = self._spot.shape[0]
        matrix = np.array([[2 * rx / side, 0, 0.0], [0, 2 * ry / side, 0.0]])
        left, top = int(np.floor(column - rx)), int(np.floor(row - ry))
        matrix[:, 2] = column - rx - left, row - ry - top
        size = (int(np.ceil(2 * rx)) + 2, int(np.ceil(2 * ry)) + 2)
        dark = cv2.warpAffine(self._spot, matrix, size)
        _multiply(picture, 1 - CONTACT_SHADOW * dark, left, top)

    def _darken_cast(
        self, picture: np.ndarray, column: float, row: float, pixels: float, flat: float, sprite: Sprite
    ) -> None:
        """The outline laid on the ground, away from the sun."""
        number = max(0, len(sprite.levels) - 2)
        level = np.ascontiguousarray(sprite.levels[number][..., 3])
        half = 0.5**number
        scale = pixels / (sprite.pixels_per_metre * half)
        anchor_x, anchor_y = sprite.anchor[0] * half, sprite.anchor[1] * half
        across, along = SUN_DIRECTION[0] * scale, SUN_DIRECTION[1] * flat * scale
        # A pixel h above the foot falls `across * h` to the right and `along * h` up the image.
        height, width = level.shape
        reach_left = column - anchor_x * scale
        left, right = int(reach_left) - 1, int(reach_left + width * scale + across * anchor_y) + 2
        top, bottom = int(row - along * anchor_y) - 1, int(row + along * (height - anchor_y)) + 2
        left, right = max(left, 0), min(right, picture.shape[1])
        top, bottom = max(top, 0), min(bottom, picture.shape[0])
        if right - left < 1 or bottom - top < 1:
            return
        matrix = np.array(
            [
                [scale, -across, column - left - anchor_x * scale + across * anchor_y],
                [0.0, along, row - top - along * anchor_y],
            ]
        )
        dark = cv2.warpAffine(level, matrix, (right - left, bottom - top))
        strength = CAST_SHADOW * self.setting.sun / 255
        _multiply(picture, 1 - strength * dark.astype(np.float32), left, top)

    def _paste(
        self,
        picture: np.ndarray,
        owner: np.ndarray,
        view: View,
        thing: Thing,
        patch: Patch | None,
        number: int,
    ) -> int:
        """Paint a thing over what is behind it; its whole silhouette in pixels, in the image or not."""
        if patch is None:
            return 0
        source = patch.picture
        left, top = patch.left, patch.top
        solid = source[..., 3] >= OPAQUE * 255
        total = int(np.count_nonzero(solid))
        x0, y0 = max(0, left), max(0, top)
        x1 = min(picture.shape[1], left + source.shape[1])
        y1 = min(picture.shape[0], top + source.shape[0])
        if thing.pane is not None:
            pane_left, pane_bottom, pane_right, pane_top, depth = thing.pane
            column_left, row, pixels = view.project(pane_left, depth)
            column_right = view.project(pane_right, depth)[0]
            x0, x1 = max(x0, round(column_left)), min(x1, round(column_right))
            y0, y1 = max(y0, round(row - pane_top * pixels)), min(y1, round(row - pane_bottom * pixels))
        if x1 <= x0 or y1 <= y0:
            return total
        inside = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        region = picture[y0:y1, x0:x1]
        paint = source[inside].astype(np.float32)
        alpha = paint[..., 3:] * (thing.opacity / 255)
        haze = min(0.4, HAZE_PER_METRE * thing.z)
        region *= 1 - alpha
        region += paint[..., :3] * ((1 - haze) * thing.opacity)
        region += alpha * (haze * np.asarray(HAZE, np.float32))
        owner[y0:y1, x0:x1][solid[inside]] = number
        return total

    def _developed(self, picture: np.ndarray) -> np.ndarray:
        """Light, lens and sensor."""
        height, width = picture.shape[:2]
        if self._grain is None:
            # One sheet of noise, cut at another place for each frame, costs far less than fresh noise.
            shape = (height + 64, width + 64)
            grey = self.rng.standard_normal((*shape, 1))
            self._grain = (SENSOR_NOISE * (0.85 * grey + 0.5 * self.rng.standard_normal((*shape, 3)))).astype(
                np.float32
            )
        picture = cv2.GaussianBlur(picture * self._light, (3, 3), LENS_BLUR)
        y, x = (int(value) for value in self.rng.integers(0, 64, 2))
        picture += self._grain[y : y + height, x : x + width]
        return np.clip(picture, 0, 255).astype(np.uint8)


def _order(thing: Thing) -> float:
    return thing.z if thing.order is None else thing.order


def _box(thing: Thing, view: View) -> tuple[float, float, float, float]:
    """Left, top, right, bottom in the image, 0-based continuous pixels."""
    column, row, pixels = view.project(thing.x, thing.z)
    row -= thing.above * pixels
    left, top, right, bottom = thing.sprite.box
    return column + left * pixels, row + top * pixels, column + right * pixels, row + bottom * pixels


def _soft_disc(side: int = 32) -> np.ndarray:
    """(side, side) float32, 1 in the middle, falling to 0 at the rim."""
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1
    radius = np.sqrt(axis[None] ** 2 + axis[:, None] ** 2)
    return np.clip(1.3 * (1 - radius), 0, 1).astype(np.float32)


def _multiply(picture: np.ndarray, factor: np.ndarray, left: int, top: int) -> None:
    """Multiply a part of the picture, as far as it lies inside."""
    x0, y0 = max(0, left), max(0, top)
    x1 = min(picture.shape[1], left + factor.shape[1])
    y1 = min(picture.shape[0], top + factor.shape[0])
    if x1 > x0 and y1 > y0:
        picture[y0:y1, x0:x1] *= factor[y0 - top : y1 - top, x0 - left : x1 - left, None]
