"""A scene brought to life: frame after frame with its annotations."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clmot.synthetic.camera import CameraPath, View
from clmot.synthetic.crowd import Appearance, Crowd, Obstacle
from clmot.synthetic.figures import Facing, draw_person, random_outfit
from clmot.synthetic.props import KINDS, PAVILION_GLASS, POSTER_FOOT, draw_prop
from clmot.synthetic.render import Annotation, Key, Renderer, Thing
from clmot.synthetic.scenery import paint_backdrop
from clmot.synthetic.scenes import Scene, Traffic
from clmot.synthetic.sprites import Sprite

PEDESTRIAN, RIDER, CAR, BICYCLE, STATIC_PERSON, DISTRACTOR, REFLECTION = 1, 2, 3, 4, 7, 8, 12
"""MOTChallenge classes of what moves or looks like people."""

REFLECTION_OPACITY = 0.38
MIRRORED_UP_TO = 6.0
"""Metres in front of a pane from which people's mirror images are lost in its glare."""
SADDLE = 0.34
"""Metres above the ground at which a cyclist's soles are."""
COARSEST = 12.0
"""Pixels a metre below which no thing is drawn, or its lines would vanish."""
FIRST_TURN = 100
"""Makes the number of a vehicle's turn positive: those before the first frame have negative ones."""


@dataclass(frozen=True)
class Frame:
    """One frame of a sequence."""

    image: np.ndarray
    """(height, width, 3) uint8 BGR."""
    annotations: list[Annotation]


class Film:
    """Shoots a scene; the same scene and seed give the same frames."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene = scene
        # The name, not the scene's place in a list, decides: adding a scene leaves the others as they are.
        root = np.random.SeedSequence([seed, zlib.crc32(scene.name.encode())])
        streams = [np.random.default_rng(child) for child in root.spawn(6)]
        camera_rng, scenery_rng, props_rng, crowd_rng, render_rng, traffic_rng = streams
        self._traffic_seed = int(traffic_rng.integers(2**31))
        lens = scene.lens
        self.path = CameraPath.draw(lens, scene.motion, camera_rng)
        motion = scene.motion
        tilt = 1.2 * motion.shake
        backdrop = paint_backdrop(lens, scene.setting, (motion.track, motion.pan + 2 * motion.shake, tilt), scenery_rng)
        self.renderer = Renderer(backdrop, scene.setting, render_rng)
        self._still = self._furnish(props_rng)
        obstacles = [
            Obstacle(item.x, item.z, *KINDS[item.kind].footprint, hides=KINDS[item.kind].hides) for item in scene.props
        ]
        self.crowd = Crowd(scene.people, scene.look_alikes, scene.groups, scene.habits, obstacles, self.path, crowd_rng)
        nearest = lens.focal / scene.habits.near * (1 + motion.zoom)
        # The finest drawing is a little smaller than the nearest person is tall: softness no one sees.
        self._body_pixels = 8 * math.ceil(0.85 * 1.75 * nearest / 8)
        self._drawings: dict[tuple[int, str, str, int], Sprite] = {}
        self._vehicles: dict[tuple[int, int], tuple[Sprite, Sprite]] = {}

    def frames(self, count: int) -> Iterator[Frame]:
        """The first `count` frames."""
        step = 1 / self.scene.frame_rate
        for number in range(count):
            seconds = number * step
            view = self.path.at(seconds)
            image, annotations = self.renderer.frame(view, self._things(view, seconds))
            yield Frame(image, annotations)
            self.crowd.advance(step)

    def _furnish(self, rng: np.random.Generator) -> list[Thing]:
        """Everything that never moves."""
        things = []
        lens = self.scene.lens
        zoom = 1 + self.scene.motion.zoom
        for number, item in enumerate(self.scene.props):
            kind = KINDS[item.kind]
            pixels = max(COARSEST, zoom * lens.focal / item.z)
            sprite = draw_prop(item.kind, rng, pixels)
            things.append(
                Thing(
                    sprite,
                    item.x,
                    item.z,
                    Key("prop", number),
                    kind.category,
                    contact=2.4 * kind.footprint[0],
                    still=True,
                )
            )
            if item.kind == "billboard":
                model = random_outfit(rng)
                body = max(32, math.ceil(1.75 * pixels))
                things.append(
                    Thing(
                        draw_person(model, "front", "stand", 0, body),
                        item.x,
                        item.z - 0.01,
                        Key("poster", number),
                        DISTRACTOR,
                        above=POSTER_FOOT,
                        opacity=0.85,
                        casts_shadow=False,
                        still=True,
                    )
                )
        for number, (x, z) in enumerate(self.scene.sitters):
            body = max(32, math.ceil(1.75 * zoom * lens.focal / z))
            things.append(
                Thing(
                    draw_person(random_outfit(rng), "right", "sit", 0, body),
                    x,
                    z - 0.05,
                    Key("sitter", number),
                    STATIC_PERSON,
                    contact=0.6,
                    still=True,
                )
            )
        return things

    def _things(self, view: View, seconds: float) -> list[Thing]:
        """All that may be in the picture at this moment."""
        people = []
        reflections = []
        panes = [item for item in self.scene.props if item.kind == "pavilion"]
        appearances = self.crowd.appearances()
        present = {appearance.identity for appearance in appearances}
        for key in [key for key in self._drawings if key[0] not in present]:
            del self._drawings[key]  # who left for good is not drawn again
        for person in appearances:
            sprite = self._drawing(person)
            people.append(Thing(sprite, person.x, person.z, Key("person", person.identity), PEDESTRIAN, contact=0.6))
            for pane in panes:
                left, bottom, right, top = PAVILION_GLASS
                mirrored = 2 * pane.z - person.z
                if not 0.5 < mirrored - pane.z < MIRRORED_UP_TO:
                    continue
                # Where the line of sight to the mirror image meets the pane.
                meeting = view.x + (person.x - view.x) * pane.z / mirrored
                if pane.x + left < meeting < pane.x + right:
                    reflections.append(
                        Thing(
                            sprite,
                            person.x,
                            mirrored,
                            Key("reflection", person.identity),
                            REFLECTION,
                            opacity=REFLECTION_OPACITY,
                            pane=(pane.x + left, bottom, pane.x + right, top, pane.z),
                            order=pane.z - 0.01,
                            casts_shadow=False,
                        )
                    )
        vehicles = [
            thing
            for number, traffic in enumerate(self.scene.traffic)
            for thing in self._driving(number, traffic, view, seconds)
        ]
        return people + self._still + reflections + vehicles

    def _drawing(self, person: Appearance) -> Sprite:
        key = (person.identity, person.facing, person.pose, person.step)
        if key not in self._drawings:
            self._drawings[key] = draw_person(person.outfit, person.facing, person.pose, person.step, self._body_pixels)
        return self._drawings[key]

    def _driving(self, number: int, traffic: Traffic, view: View, seconds: float) -> list[Thing]:
        """The vehicles of one lane."""
        passed = (seconds - traffic.delay) / traffic.every
        things = []
        for turn in (math.floor(passed), math.floor(passed) + 1):
            x = traffic.speed * (passed - turn) * traffic.every
            sprite, rider = self._vehicle(number, turn, traffic)
            key = 10_000 * (number + 1) + turn + FIRST_TURN
            if traffic.kind == "cyclist":
                ahead = math.copysign(1, traffic.speed)
                things += [
                    Thing(sprite, x, traffic.z, Key("bicycle", key), BICYCLE, contact=1.4),
                    Thing(
                        rider,
                        x - 0.22 * ahead,
                        traffic.z - 0.01,
                        Key("rider", key),
                        RIDER,
                        above=SADDLE,
                        casts_shadow=False,
                    ),
                ]
            else:
                things.append(Thing(sprite, x, traffic.z, Key("vehicle", key), CAR, contact=4.6))
        return things

    def _vehicle(self, number: int, turn: int, traffic: Traffic) -> tuple[Sprite, Sprite]:
        """Drawings of the vehicle that passes as number `turn` in a lane, and of someone to ride it."""
        key = (number, turn)
        if key not in self._vehicles:
            rng = np.random.default_rng([self._traffic_seed, number, turn + FIRST_TURN])
            pixels = max(COARSEST, (1 + self.scene.motion.zoom) * self.scene.lens.focal / traffic.z)
            sprite = draw_prop("bicycle" if traffic.kind == "cyclist" else traffic.kind, rng, pixels)
            if traffic.speed < 0:
                sprite = sprite.mirrored()
            facing: Facing = "right" if traffic.speed > 0 else "left"
            rider = draw_person(random_outfit(rng), facing, "sit", 0, math.ceil(1.75 * pixels))
            self._vehicles = {old: kept for old, kept in self._vehicles.items() if old[1] >= turn - 1}
            self._vehicles[key] = (sprite, rider)
        return self._vehicles[key]
