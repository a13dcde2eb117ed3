"""What all tests share: real frames where they exist, and one thread per test process."""

from __future__ import annotations

import os
from pathlib import Path

# Test processes run side by side: their operators must not fight for the cores. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test talks to anyone: not to a tracking server the developer has set up, not to MLflow's makers.
os.environ.pop("MLFLOW_TRACKING_URI", None)
os.environ.pop("MLFLOW_EXPERIMENT_NAME", None)
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# Nor to the site that the data come from.
os.environ["CLMOT_OFFICIAL_URL"] = "http://127.0.0.1:9/nowhere"

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("CLMOT_SHARED") or REPOSITORY.parent / "shared")
LONG_FILES = (
    "test_pipeline_dvc.py",
    "test_commands.py",
    "test_ablation_dvc.py",
    "test_what_runs.py",
    "test_unseen_film.py",
    "test_full_disk.py",
    "test_track_command.py",
    "test_ranks.py",
    "test_exam.py",
    "test_synthetic.py",
    "test_killed.py",
    "test_download_killed.py",
    "test_ablation.py",
    "test_faulty_trackers.py",
    "test_no_secrets.py",
    "test_shared_cases.py",
    "test_damaged_files.py",
)
"""Files of tests that take half a minute or more, longest first: begun last they would leave the other cores idle."""


def has_shared_data() -> bool:
    """Whether there are real frames on this machine."""
    return (SHARED / "data").is_dir()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real frames and reference arrays; only for tests marked `shared_data`."""
    return SHARED


def _about_shared_data() -> str:
    if has_shared_data():
        return f"real frames: {SHARED}"
    return f"real frames: none in {SHARED} (CLMOT_SHARED names another folder): shared_data tests are left out"


def pytest_report_header() -> str:
    return _about_shared_data()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Under -q there is no header, and what was left out must be said all the same."""
    terminalreporter.write_line(_about_shared_data())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    long = {name: place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: long.get(item.path.name, len(long)))
    if has_shared_data():
        return
    left_out = [item for item in items if item.get_closest_marker("shared_data")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("shared_data")]
