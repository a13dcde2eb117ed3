"""What the tracker's settings are worth on film that took no part in choosing them: each film in turn is left out, the
settings that are best on the others are taken, and the film is tracked with those.

    python -m benchmarks.leave_one_out FILMS --detections BOXES --keep KEEP --kinds "film itself, projected" osnet \\
        --rows benchmarks/results/leave_one_out.jsonl --try look_veto=1,2,3 look_weight=0.02,0.1,0.2 ...

FILMS and BOXES are those of `benchmarks.unseen_film`, and KEEP the folder in which that left the embedded boxes:
nothing is taught here. `KIND, projected` has its embeddings projected (`track.projection: film`). Tried are the profile
`film`'s settings, and those with one of them changed as --try says, each in runs that leave out some boxes at random.
Best are those with the highest mean IDF1 of the other films, in the arena of the detector's boxes alone or in both.
Rows of --rows that are there are not tracked again.

Prints json: by kind of embedding, what each film's choice was, and IDF1 and HOTA of the films so tracked beside those
of the profile's settings, which were looked at on all films together.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from benchmarks.unseen_film import ARENAS, PROJECTED, Film, film_params, find_films, projected
from clmot.errors import InputError, run_as_script
from clmot.evaluation.repeats import Repeats, score_again
from clmot.params import TrackParams
from clmot.progress import progress

METRICS = ("IDF1", "HOTA")
BY = {"detected": ("detected",), "both": ARENAS}
"""What decides which settings are best -> the arenas that count for it."""


def settings_to_try(changes: Sequence[str]) -> list[dict[str, Any]]:
    """None changed, then one after the other: `look_veto=1,2` are two.

    Raises:
        InputError: a change has no values.
    """
    found: list[dict[str, Any]] = [{}]
    for change in changes:
        key, equals, values = change.partition("=")
        if not equals:
            raise InputError(f"--try {change}: expected KEY=VALUE,VALUE, as in look_veto=1,2,3.")
        found += [{key: getattr(tracking({key: value}), key)} for value in values.split(",")]
    return found


def tracking(settings: Mapping[str, Any]) -> TrackParams:
    """The section `track` of the profile `film` with these changed.

    Raises:
        InputError: params.yaml would refuse them.
    """
    return film_params([f"track.{key}={value}" for key, value in settings.items()]).track


def track(film: Film, arena: str, kind: str, seed: int, keep: Path, repeats: Repeats) -> dict[str, list[float]]:
    """Scores of each run, in per cent, by `METRICS`.

    Raises:
        InputError: the boxes were not kept.
    """
    file = keep / f"{kind.removesuffix(PROJECTED)}-{film.name}-{seed}" / f"{arena}.safetensors"
    if not file.is_file():
        raise InputError(f"{file} does not exist: run benchmarks.unseen_film with --keep {keep} first.")
    with tempfile.TemporaryDirectory() as folder:
        if kind.endswith(PROJECTED):
            file = projected(file, Path(folder) / file.name, repeats.track.confidence)
        runs = score_again(film.truth, file, repeats)
    return {name: [100 * getattr(run, name) for run in runs] for name in METRICS}


Place = tuple[str, str]
"""Film and arena."""


def by_settings(rows: Sequence[Mapping[str, Any]], metric: str) -> dict[str, dict[Place, float]]:
    """Means over runs and seeds of one kind's rows: settings, as json, -> film and arena -> a score."""
    scores: dict[str, dict[Place, list[float]]] = {}
    for row in rows:
        places = scores.setdefault(json.dumps(row["settings"], sort_keys=True), {})
        places.setdefault((row["film"], row["arena"]), []).extend(row[metric])
    return {name: {place: mean(values) for place, values in places.items()} for name, places in scores.items()}


def chosen_without(scores: Mapping[str, Mapping[Place, float]], left_out: str, arenas: Sequence[str]) -> str:
    """The settings with the highest mean of all films but one; of equal ones the first."""

    def worth(settings: str) -> float:
        return mean(value for (film, arena), value in scores[settings].items() if film != left_out and arena in arenas)

    return max(scores, key=worth)


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By kind, and by what decides: the choices, and scores by arena beside the profile's."""
    found: dict[str, Any] = {}
    for kind in dict.fromkeys(row["kind"] for row in rows):
        of_kind = {name: by_settings([row for row in rows if row["kind"] == kind], name) for name in METRICS}
        films = sorted({film for film, _ in next(iter(of_kind["IDF1"].values()))})
        found[kind] = {"settings tried": len(of_kind["IDF1"])}
        for decides, arenas in BY.items():
            choice = {film: chosen_without(of_kind["IDF1"], film, arenas) for film in films}
            found[kind][decides] = {
                "chosen": {film: json.loads(settings) for film, settings in choice.items()},
                **{
                    f"{arena} {name}": {
                        "left out": {film: round(scores[choice[film]][film, arena], 1) for film in films},
                        "mean": round(mean(scores[choice[film]][film, arena] for film in films), 2),
                        "mean of the profile": round(mean(scores["{}"][film, arena] for film in films), 2),
                    }
                    for arena in ARENAS
                    for name, scores in of_kind.items()
                },
            }
    return found


def tried(chosen: argparse.Namespace, known: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows that are not known yet."""
    there = {json.dumps([row[key] for key in ("kind", "seed", "film", "arena", "settings")]) for row in known}
    films = find_films(chosen.films, chosen.detections)  # each reads its truth once
    places = [
        (kind, seed, film, arena, settings)
        for settings in settings_to_try(chosen.changes)
        for kind in chosen.kinds
        for seed in chosen.seeds
        for film in films
        for arena in ARENAS
    ]
    for kind, seed, film, arena, settings in progress(places, "track", unit="film"):
        if json.dumps([kind, seed, film.name, arena, settings]) not in there:
            repeats = Repeats(chosen.drops, chosen.share, 0, tracking(settings))
            scores = track(film, arena, kind, seed, chosen.keep, repeats)
            yield {"settings": settings, "kind": kind, "seed": seed, "film": film.name, "arena": arena, **scores}


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path)
    parser.add_argument("--detections", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True, help="folder of embedded boxes")
    parser.add_argument("--kinds", nargs="+", required=True, help="of embeddings, each chosen for by itself")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of what was taught")
    parser.add_argument(
        "--try", dest="changes", nargs="+", default=[], metavar="KEY=VALUE,VALUE", help="settings of `track`"
    )
    parser.add_argument("--drops", type=int, default=2, help="runs that each leave out some boxes")
    parser.add_argument("--share", type=float, default=0.03, help="of the boxes that each leaves out")
    parser.add_argument("--rows", type=Path, required=True, help="a line of json for each film, arena and settings")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = [json.loads(line) for line in chosen.rows.read_text().splitlines()] if chosen.rows.exists() else []
    with chosen.rows.open("a") as stream:
        for row in tried(chosen, rows):
            rows.append(row)
            stream.write(json.dumps(row) + "\n")
            stream.flush()
    print(json.dumps(summary(rows), indent=1))
    print(f"{len(rows)} rows in {chosen.rows}", file=sys.stderr)


if __name__ == "__main__":
    run_as_script(main)
