"""Joining tracks once the film is over: which of them are one person, before and after they were out of sight.

While a film runs, a track can only be found again by whoever comes next, judged by what the film has shown so far. Once
it is over, every track is known whole and so is the film: all pairs of tracks that never met compete, the surest is
joined first, and the two go on as one (agglomerative clustering with average linkage under cannot-link constraints;
Davidson & Ravi, PKDD 2005). Evidence is that of `calibrated`: nats of looks, calibrated on this film, and of place and
height at the gap between them.

Settings are those of finding tracks again: `refind_evidence`, `refind_trust`, `refind_looks`. However long someone was
away, they may be joined; with `reentry: new` not those who have walked out of the view. Splitting tracks whose looks
contradict each other before and after someone was hidden was tried, too: of the tracks that calibrated association
makes it found next to none to split, and gained nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clmot.params import TrackParams
from clmot.tracking import costs
from clmot.tracking.calibrated import HIDDEN_SHARE, covered_share, place_evidence
from clmot.tracking.costs import Floats, Indices
from clmot.tracking.evidence import LookEvidence
from clmot.tracking.tracks import Tracks
from clmot.tracking.view import View

LOOK_SECONDS = 1.0
"""Looks of one second are one look: neighbouring frames say the same again."""
FEWEST_LOOKS = 3
"""Frames in which somebody was seen uncovered; of fewer no look is taken."""
AGAIN_SECONDS = (2.0, 10.0)
"""Between two looks of a track that teach what one person looks like later."""
END_SECONDS = 0.5
"""Of a track's beginning and end, from which its motion there is read."""
MOST_LOOKS = 2000
"""From which a film is calibrated; of more, whole tracks are left out, evenly."""


@dataclass
class _Track:
    """What is kept of one track: both its ends and one look a second."""

    first: int
    begin: list[Floats] = field(default_factory=list)
    """Rows of frame, centre x, y and height, of the first frames; and"""
    end: deque[Floats] = field(default_factory=deque)
    """of the last."""
    looks: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    """Sums of embeddings of length 1, by second; and"""
    counts: dict[int, int] = field(default_factory=dict)
    """how many each sums up."""


class TrackLinker:
    """Watches a tracker and says in the end which of its tracks are one person."""

    def __init__(self, params: TrackParams, frame_rate: float) -> None:
        """Before the first frame of a film of `frame_rate` frames per second."""
        self.params = params
        self.frame_rate = frame_rate
        self._tracks: dict[int, _Track] = {}
        self._view = View()
        self._second = max(1, round(LOOK_SECONDS * frame_rate))
        self._ends = max(2, round(END_SECONDS * frame_rate))

    def see(self, frame: int, tracks: Tracks, embeddings: NDArray[np.float32] | None) -> None:
        """Take note of a frame's tracks; `embeddings` (N, D), of any length, are those of the tracker's detections, or
        None. With `embedding: none` they are not looked at."""
        if embeddings is None or not self.params.use_embedding or not len(tracks):
            return
        vectors = costs.normalised(embeddings[tracks.detections])
        hidden = covered_share(tracks.boxes) >= HIDDEN_SHARE
        self._view.see(tracks.boxes)
        middle, size = (tracks.boxes[:, :2] + tracks.boxes[:, 2:]) / 2, tracks.boxes[:, 2:] - tracks.boxes[:, :2]
        states = np.column_stack((np.full(len(tracks), float(frame)), middle, size[:, 1]))
        second = frame // self._second
        for row, identity in enumerate(tracks.identities.tolist()):
            track = self._tracks.setdefault(identity, _Track(frame, end=deque(maxlen=self._ends)))
            if len(track.begin) < self._ends:
                track.begin.append(states[row])
            track.end.append(states[row])
            if not hidden[row] and vectors[row].any():
                track.looks[second] = track.looks.get(second, np.float32(0)) + vectors[row]
                track.counts[second] = track.counts.get(second, 0) + 1

    def joined(self, frame: Indices, identity: Indices) -> tuple[Indices, Indices]:
        """The identities after joining, and the order that they are in then.

        Args:
            frame, identity: (R,) of all boxes of all tracks.

        Returns:
            (R,) the identity of each group's first track, and (R,) the rows ordered by frame and that.
        """
        tracks = sorted(self._tracks.items(), key=lambda item: (item[1].first, item[0]))
        evidence = self._calibrated([track for _, track in tracks])
        if evidence.ready:
            group = self._grouped([track for _, track in tracks], evidence)
            names = np.array([name for name, _ in tracks])
            order = np.argsort(names)
            identity = names[group][order][np.searchsorted(names[order], identity)]
        return identity, np.lexsort((identity, frame))

    def _calibrated(self, tracks: list[_Track]) -> LookEvidence:
        """From looks of one track some seconds apart, and of tracks that were there at the same time."""
        every = -(-sum(len(track.looks) for track in tracks) // MOST_LOOKS) or 1
        chosen = [track for track in tracks[::every] if track.looks]
        evidence = LookEvidence()
        if len(chosen) < 2:
            return evidence
        look = costs.normalised(np.stack([sum_ for track in chosen for sum_ in track.looks.values()]))
        owner = np.repeat(np.arange(len(chosen)), [len(track.looks) for track in chosen])
        second = np.array([second for track in chosen for second in track.looks])
        rows, cols = np.triu_indices(len(look), 1)
        apart = np.abs(second[rows] - second[cols]) * self._second / self.frame_rate
        one = owner[rows] == owner[cols]
        same = one & (apart >= AGAIN_SECONDS[0]) & (apart <= AGAIN_SECONDS[1])
        other = ~one & _met(chosen)[owner[rows], owner[cols]]
        distance = costs.cosine_distance(look, look)[rows, cols]
        evidence.learn(distance[same], distance[other])
        return evidence

    def _grouped(self, tracks: list[_Track], evidence: LookEvidence) -> Indices:
        """(N,) the first track of each one's group."""
        params = self.params
        count = np.array([sum(track.counts.values()) for track in tracks])
        dimension = len(next(look for track in tracks for look in track.looks.values()))
        look = np.zeros((len(tracks), dimension), np.float32)
        for row, track in enumerate(tracks):
            look[row] = sum(track.looks.values())
        place = _places(tracks, self.frame_rate, self._view if params.reentry == "new" else None)
        apart = _met(tracks)
        np.fill_diagonal(apart, True)

        def evidence_for(rows: Indices) -> Floats:
            """That tracks `rows` (n,) are each of all, (n, N); -inf where they cannot be."""
            looks = evidence(costs.cosine_distance(costs.normalised(look[rows]), costs.normalised(look)))
            known = (count[rows] >= FEWEST_LOOKS)[:, None] & (count >= FEWEST_LOOKS)
            possible = known & ~apart[rows] & (looks > params.refind_looks)
            return np.where(possible, place[rows] + params.refind_trust * looks, -np.inf)

        total = evidence_for(np.arange(len(tracks)))
        best, partner = total.max(axis=1), total.argmax(axis=1)
        group = np.arange(len(tracks))
        while best[row := int(best.argmax())] > params.refind_evidence:
            first, later = sorted((row, int(partner[row])))
            group[group == later] = first
            look[first] += look[later]
            count[first] += count[later]
            count[later] = 0
            apart[first] = apart[:, first] = apart[first] | apart[later]
            # At whichever of its gaps the two fit best.
            place[first] = place[:, first] = np.maximum(place[first], place[later])
            total[later], total[:, later] = -np.inf, -np.inf
            total[first] = total[:, first] = evidence_for(np.array([first]))[0]
            stale = np.nonzero((partner == first) | (partner == later) | (total[first] > best))[0]
            stale = np.union1d(stale, (first, later))
            best[stale], partner[stale] = total[stale].max(axis=1), total[stale].argmax(axis=1)
        return group


def _met(tracks: list[_Track]) -> NDArray[np.bool_]:
    """Which (N, N) of the tracks existed at the same moment, each with itself too."""
    first = np.array([track.first for track in tracks])
    last = np.array([track.end[-1][0] for track in tracks])
    return (first[:, None] <= last) & (first <= last[:, None])


def _places(tracks: list[_Track], frame_rate: float, view: View | None) -> Floats:
    """Nats (N, N) that place and height say for one person at the gap between two tracks; -inf where there is none.

    The three ways to have walked in between are: not at all, as before it, and as after it; the nearest counts. Nor is
    there a gap after a track that has left the `view`; None: whoever leaves may come back.
    """
    begin = np.array([_state(track.begin) for track in tracks])  # (N, 6) frame, x, y, height, velocity
    end = np.array([_state(list(track.end)[::-1]) for track in tracks])
    frames = begin[:, 0] - end[:, None, 0]  # (N, N), from the end of the one to the beginning of the other
    seconds = np.maximum(frames, 0) / frame_rate
    way = begin[:, 1:3] - end[:, None, 1:3]  # (N, N, 2)
    ways = (way, way - frames[..., None] * end[:, None, 4:6], way - frames[..., None] * begin[:, 4:6])
    moved = np.min([(one**2).sum(axis=2) for one in ways], axis=0) / (end[:, None, 3] * begin[:, 3])
    growth = np.log(begin[:, 3] / end[:, None, 3])
    nats = place_evidence(moved, growth, seconds)
    nats[frames <= 0] = -np.inf
    if view is not None:
        nats[view.left(end[:, None, 1:3], end[:, None, 4:6], seconds, frame_rate)] = -np.inf
    return np.asarray(np.maximum(nats, nats.T))


def _state(rows: list[Floats]) -> Floats:
    """(6,) frame, centre, height and velocity a frame at the first of `rows`, each frame, x, y, height."""
    first, last = rows[0], rows[-1]
    frames = last[0] - first[0]
    velocity = (last[1:3] - first[1:3]) / frames if frames else np.zeros(2)
    return np.array([*first[:3], np.median([row[3] for row in rows]), *velocity])
