"""Say which scenes are to be drawn; none where the source is another."""

from __future__ import annotations

from clmot.errors import run_as_script
from clmot.params import load_params
from clmot.sources.scenes import write_scenes


def main() -> None:
    """seed + data.synthetic -> data/scenes.json."""
    params = load_params()
    write_scenes("data/scenes.json", params.data.source, params.seed, params.data.synthetic.frames)


if __name__ == "__main__":
    run_as_script(main)
