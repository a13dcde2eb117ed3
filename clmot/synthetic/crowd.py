"""People who walk about: where they want to go, how they get there, and which way they look.

Everyone moves continuously on the ground plane. People walk between waypoints, pause, meet, step behind
things and come back out, leave the picture on either side and return. They go round obstacles and round each
other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from clmot.synthetic.camera import CameraPath, View
from clmot.synthetic.figures import WALK_PHASES, Facing, Outfit, Pose, in_uniform, random_outfit

MAX_STEP = 0.1
"""Seconds; longer steps would let people run into each other between two decisions."""
WARM_UP = 8.0
"""Seconds lived before the first frame, so that no one starts frozen at a random place."""
RESPONSE = 0.35
"""Seconds in which a person adopts a new velocity."""
SHOULDER = 0.5
"""Metres between the middles of two people who brush past each other."""
CLEARANCE = 0.45
"""Metres between an obstacle's edge and the middle of a person who goes round it."""
ARRIVED = 0.45
"""Metres from a waypoint at which it counts as reached."""
LEAVE_BY = 0.7
"""Metres beyond the picture's edge at which a person is out of sight with bags and shadow."""


@dataclass(frozen=True)
class Obstacle:
    """Ground that no one walks on: an upright rectangle around (x, z)."""

    x: float
    z: float
    half_width: float
    half_depth: float
    hides: bool
    """Whether people may wait behind it."""


@dataclass(frozen=True)
class Habits:
    """What people in a place tend to do."""

    near: float
    far: float
    """Metres from the camera between which they walk."""
    leave: float
    """Probability that the next way leads out of the picture."""
    hide: float
    """Probability that it leads behind something."""
    pause: float
    """Probability of a stop at a waypoint inside the picture."""
    speed: tuple[float, float]
    """Metres a second, slowest and fastest."""
    away: tuple[float, float]
    """Seconds out of the picture, shortest and longest."""
    newcomers: float
    """Probability that someone who left never returns and a stranger comes instead."""
    roam: float = 9.0
    """Metres of a typical way inside the picture."""


@dataclass(frozen=True)
class Appearance:
    """A person at one moment, ready to be drawn."""

    identity: int
    outfit: Outfit
    x: float
    z: float
    facing: Facing
    pose: Pose
    step: int


@dataclass
class _Person:
    identity: int
    outfit: Outfit
    speed: float
    position: np.ndarray
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    heading: np.ndarray = field(default_factory=lambda: np.array([1.0, 0.0]))
    way: list[np.ndarray] = field(default_factory=list)
    exit_side: int = 0
    """-1, 1: on the way out to the left or right; 0: staying."""
    rest: float = 0.0
    """Seconds still to stand."""
    leader: _Person | None = None
    offset: np.ndarray = field(default_factory=lambda: np.zeros(2))
    stride: float = 0.0
    facing: Facing = "right"
    after_hiding: int = 0
    """The side from which a person stepped behind something."""


class Crowd:
    """All people of a scene, moved on by `advance` and seen through `appearances`."""

    def __init__(
        self,
        count: int,
        look_alikes: int,
        groups: int,
        habits: Habits,
        obstacles: list[Obstacle],
        path: CameraPath,
        rng: np.random.Generator,
    ) -> None:
        """`count` people: `look_alikes` share a few uniforms, `groups` pairs or trios walk together."""
        self.habits = habits
        self.obstacles = obstacles
        self.path = path
        self.rng = rng
        self.time = -WARM_UP
        self._next_identity = 1
        uniforms = [random_outfit(rng) for _ in range(max(1, look_alikes // 3))]
        self.people: list[_Person] = []
        view = path.at(self.time)
        for number in range(count):
            outfit = random_outfit(rng)
            if number < look_alikes:
                outfit = in_uniform(outfit, uniforms[number % len(uniforms)])
            person = self._newcomer(outfit, self._spot(view))
            self.people.append(person)
        self._form_groups(groups)
        while self.time < -1e-9:
            self._step(min(MAX_STEP, -self.time))

    def _newcomer(self, outfit: Outfit, position: np.ndarray) -> _Person:
        identity = self._next_identity
        self._next_identity += 1
        speed = float(self.rng.uniform(*self.habits.speed)) * math.sqrt(outfit.height / 1.7)
        return _Person(identity, outfit, speed, position, stride=float(self.rng.random()))

    def _form_groups(self, groups: int) -> None:
        """Make pairs and trios of the last people: look-alikes, who come first, mostly walk on their own."""
        number = len(self.people) - 1
        for _ in range(groups):
            size = 3 if self.rng.random() < 0.3 else 2
            if number - size < 0:
                return
            leader = self.people[number]
            for place in range(1, size):
                member = self.people[number - place]
                member.leader = leader
                # Half a step behind, or of two who walk across the picture one would hide the other.
                member.offset = np.array([-self.rng.uniform(0.2, 0.5), 0.6 * (1 if place == 1 else -1)])
                member.position = leader.position + member.offset
                member.speed = leader.speed
            number -= size

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        steps = max(1, math.ceil(seconds / MAX_STEP - 1e-9))
        for _ in range(steps):
            self._step(seconds / steps)

    def appearances(self) -> list[Appearance]:
        """Everyone, in and out of the picture, in order of identity."""
        seen = []
        for person in sorted(self.people, key=lambda one: one.identity):
            walking = math.hypot(*person.velocity) > 0.25
            seen.append(
                Appearance(
                    person.identity,
                    person.outfit,
                    float(person.position[0]),
                    float(person.position[1]),
                    person.facing,
                    "walk" if walking else "stand",
                    int(person.stride * WALK_PHASES) % WALK_PHASES if walking else 0,
                )
            )
        return seen

    def _spot(self, view: View, start: np.ndarray | None = None) -> np.ndarray:
        """A free place in the picture, about as far from `start` as people roam.

        It is equally likely in every image row, so near people are not rare. Without the limit on the
        distance all ways would cross in the middle and the crowd would gather there.
        """
        habits, lens = self.habits, view.lens
        spot = np.zeros(2)
        for _ in range(20):
            z = 1 / self.rng.uniform(1 / habits.far, 1 / habits.near)
            column = self.rng.uniform(0.03, 0.97) * lens.width
            spot = np.array([view.lateral(column, z), z])
            far_off = start is not None and not 0.3 < math.hypot(*(spot - start)) / habits.roam < 1.3
            if not far_off and not any(_inside(spot, obstacle, CLEARANCE) for obstacle in self.obstacles):
                return spot
        return spot

    def _edge(self, view: View, side: int, z: float) -> float:
        """X just outside of the picture at depth z."""
        column = 0.0 if side < 0 else float(view.lens.width)
        return view.lateral(column, z) + side * LEAVE_BY

    def _decide(self, person: _Person, view: View) -> None:
        """Choose where to go next."""
        habits, rng = self.habits, self.rng
        person.exit_side = 0
        outside = self._outside(person, view)
        if person.after_hiding and rng.random() < 0.6:
            # Out of cover the way one came: what a motion model least expects.
            side = person.after_hiding
            z = float(np.clip(person.position[1] + rng.uniform(-0.5, 2.0), habits.near, habits.far))
            goal = np.array([person.position[0] + side * rng.uniform(2.0, 5.0), z])
            person.after_hiding = 0
            self._set_way(person, goal)
            return
        person.after_hiding = 0
        choice = rng.random()
        covers = [obstacle for obstacle in self.obstacles if obstacle.hides and self._in_picture(obstacle, view)]
        if not outside and choice < habits.leave:
            middle = view.lateral(view.lens.width / 2, float(person.position[1]))
            side = -1 if person.position[0] < middle else 1  # mostly by the nearer edge
            side = -side if rng.random() < 0.3 else side
            z = float(np.clip(person.position[1] + rng.normal(0, 1.5), habits.near, habits.far))
            person.exit_side = side
            self._set_way(person, np.array([self._edge(view, side, z), z]))
        elif covers and choice < habits.leave + habits.hide:
            cover = covers[int(rng.integers(len(covers)))]
            z = cover.z + cover.half_depth + rng.uniform(0.5, 0.9)
            x = cover.x + rng.uniform(-0.5, 0.5) * cover.half_width
            person.after_hiding = -1 if person.position[0] < x else 1
            self._set_way(person, np.array([x, min(z, habits.far)]))
        elif outside and rng.random() < 0.6:
            # Straight through the picture to its other side.
            side = 1 if person.position[0] < view.lateral(view.lens.width / 2, person.position[1]) else -1
            z = float(np.clip(person.position[1] + rng.normal(0, 2.0), habits.near, habits.far))
            person.exit_side = side
            self._set_way(person, np.array([self._edge(view, side, z), z]))
        else:
            self._set_way(person, self._spot(view, None if outside else person.position))

    def _in_picture(self, obstacle: Obstacle, view: View) -> bool:
        column, _, _ = view.project(obstacle.x, obstacle.z)
        return 0 < column < view.lens.width

    def _outside(self, person: _Person, view: View) -> bool:
        column, _, pixels = view.project(float(person.position[0]), float(person.position[1]))
        margin = 0.9 * LEAVE_BY * pixels
        return not -margin < column < view.lens.width + margin

    def _set_way(self, person: _Person, goal: np.ndarray) -> None:
        """Straight to the goal, or round the corner of what is in between."""
        way = [goal]
        start = person.position
        for _ in range(3):
            blocking = [obstacle for obstacle in self.obstacles if _crosses(start, way[0], obstacle, 0.8 * CLEARANCE)]
            if not blocking:
                break
            first = min(blocking, key=lambda obstacle: abs(obstacle.x - start[0]) + abs(obstacle.z - start[1]))
            corners = [
                np.array(
                    [
                        first.x + sx * (first.half_width + 1.3 * CLEARANCE),
                        first.z + sz * (first.half_depth + 1.3 * CLEARANCE),
                    ]
                )
                for sx in (-1, 1)
                for sz in (-1, 1)
            ]
            target = way[0]
            free = [corner for corner in corners if not _crosses(start, corner, first, 0.8 * CLEARANCE)] or corners
            way.insert(
                0,
                min(
                    free,
                    key=lambda corner: math.hypot(*(corner - start)) + math.hypot(*(target - corner)),
                ),
            )
        person.way = way

    def _step(self, dt: float) -> None:
        view = self.path.at(self.time)
        for person in self.people:
            self._plan(person, view, dt)
        wish = np.array([self._wish(person, view) for person in self.people])
        position = np.array([person.position for person in self.people])
        velocity = np.array([person.velocity for person in self.people])
        velocity = velocity + (wish - velocity) * (1 - math.exp(-dt / RESPONSE))
        velocity = velocity + dt * self._avoidance(position, velocity)
        fastest = 1.3 * np.array([person.speed for person in self.people])[:, None]
        pace = np.maximum(np.linalg.norm(velocity, axis=1, keepdims=True), 1e-9)
        velocity *= np.minimum(1.0, fastest / pace)
        position = position + dt * velocity
        position = self._pushed_out(position)
        # No one comes so near that the camera would look through them.
        position[:, 1] = np.clip(position[:, 1], self.habits.near, None)
        for person, where, how in zip(self.people, position, velocity, strict=True):
            person.position, person.velocity = where, how
            self._turn(person, dt)
        self.time += dt

    def _plan(self, person: _Person, view: View, dt: float) -> None:
        """Progress along the way; at its end rest, disappear for a while, or choose the next."""
        if person.leader is not None:
            return
        if person.rest > 0:
            person.rest -= dt
            if person.rest > 0:
                return
            if self._outside(person, view):
                person = self._returning(person)
            self._decide(person, view)
            return
        if not person.way:
            self._decide(person, view)
            return
        if person.exit_side and len(person.way) == 1:
            # The picture's edge moves with the camera.
            person.way[0][0] = self._edge(view, person.exit_side, float(person.way[0][1]))
            if person.exit_side * (person.position[0] - person.way[0][0]) > -0.05:
                person.way = []
                person.rest = float(self.rng.uniform(*self.habits.away))
                return
        if math.hypot(*(person.way[0] - person.position)) < ARRIVED and not (person.exit_side and len(person.way) == 1):
            person.way.pop(0)
            if not person.way:
                if person.after_hiding:
                    person.rest = float(self.rng.uniform(0.1, 0.6))
                elif self.rng.random() < self.habits.pause:
                    person.rest = float(self.rng.uniform(0.8, 4.0))

    def _returning(self, person: _Person) -> _Person:
        """Who comes after someone was out of sight long enough: the same person, or a stranger."""
        followed = any(other.leader is person for other in self.people)
        if followed or self.rng.random() >= self.habits.newcomers:
            return person
        stranger = self._newcomer(random_outfit(self.rng), person.position)
        self.people[self.people.index(person)] = stranger
        return stranger

    def _wish(self, person: _Person, view: View) -> np.ndarray:
        """The velocity a person would have if alone."""
        if person.leader is not None:
            leader = person.leader
            ahead = leader.heading / max(1e-9, math.hypot(*leader.heading))
            across = np.array([-ahead[1], ahead[0]])
            goal = leader.position + person.offset[0] * ahead + person.offset[1] * across
            gap = goal - person.position
            wish = 0.9 * leader.velocity + 1.2 * gap
            limit = 1.4 * person.speed
            pace = math.hypot(*wish)
            if math.hypot(*leader.velocity) < 0.25 and math.hypot(*gap) < 0.35:
                return np.zeros(2)
            return wish * min(1.0, limit / max(pace, 1e-9))
        if person.rest > 0 or not person.way:
            return np.zeros(2)
        gap = person.way[0] - person.position
        return gap / max(math.hypot(*gap), 1e-9) * person.speed

    def _avoidance(self, position: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """(N, 2) accelerations away from people who are too near, and sideways past those who come."""
        gap = position[:, None] - position[None]  # (N, N, 2)
        distance = np.sqrt((gap**2).sum(-1)) + np.eye(len(position)) * 1e6 + 1e-9
        push = 6.0 * np.exp((SHOULDER - distance) / 0.18)
        unit = gap / distance[..., None]
        closing = -((velocity[:, None] - velocity[None]) * unit).sum(-1)
        side = np.stack([-unit[..., 1], unit[..., 0]], -1)
        pass_by = 1.5 * np.clip(closing, 0, 2) * np.exp(-distance / 0.9)
        force = (np.minimum(push, 12.0)[..., None] * unit + pass_by[..., None] * side).sum(1)
        return np.clip(force, -8.0, 8.0)

    def _pushed_out(self, position: np.ndarray) -> np.ndarray:
        """Positions with everyone outside of the obstacles, moved by the shortest way."""
        for obstacle in self.obstacles:
            dx, dz = position[:, 0] - obstacle.x, position[:, 1] - obstacle.z
            over_x = obstacle.half_width + 0.25 - np.abs(dx)
            over_z = obstacle.half_depth + 0.25 - np.abs(dz)
            inside = (over_x > 0) & (over_z > 0)
            by_x = inside & (over_x < over_z)
            position[:, 0] += np.where(by_x, np.copysign(over_x, dx), 0)
            position[:, 1] += np.where(inside & ~by_x, np.copysign(over_z, dz), 0)
        return position

    def _turn(self, person: _Person, dt: float) -> None:
        """Heading, facing and stride follow the movement."""
        pace = math.hypot(*person.velocity)
        if pace > 0.25:
            blend = 1 - math.exp(-dt / 0.25)
            person.heading = person.heading + (person.velocity / pace - person.heading) * blend
            # One stride covers about 0.8 body heights, more when in a hurry.
            length = person.outfit.height * (0.45 + 0.25 * pace)
            person.stride = (person.stride + pace * dt / length) % 1.0
            toward = person.heading
        elif person.leader is not None:
            toward = person.leader.position - person.position  # companions look at each other
        else:
            companion = next((other for other in self.people if other.leader is person), None)
            toward = person.heading if companion is None else companion.position - person.position
        across, along = abs(float(toward[0])), abs(float(toward[1]))
        sideways = person.facing in ("left", "right")
        # A little inertia, or people who walk diagonally would flicker between two drawings.
        if across > along * (0.75 if sideways else 1.15):
            person.facing = "right" if toward[0] > 0 else "left"
        else:
            person.facing = "back" if toward[1] > 0 else "front"


def _inside(point: np.ndarray, obstacle: Obstacle, margin: float) -> bool:
    return bool(
        abs(point[0] - obstacle.x) < obstacle.half_width + margin
        and abs(point[1] - obstacle.z) < obstacle.half_depth + margin
    )


def _crosses(start: np.ndarray, end: np.ndarray, obstacle: Obstacle, margin: float) -> bool:
    """Whether the segment passes through the obstacle's rectangle, widened by `margin` (slab method)."""
    enter, leave = 0.0, 1.0
    for axis, centre, half in ((0, obstacle.x, obstacle.half_width), (1, obstacle.z, obstacle.half_depth)):
        low, high = centre - half - margin, centre + half + margin
        step = float(end[axis] - start[axis])
        if abs(step) < 1e-12:
            if not low < start[axis] < high:
                return False
            continue
        t0, t1 = (low - start[axis]) / step, (high - start[axis]) / step
        enter, leave = max(enter, min(t0, t1)), min(leave, max(t0, t1))
    return bool(enter < leave)
