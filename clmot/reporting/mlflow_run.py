"""One execution of the pipeline as one MLflow run.

A stage joins the run that an earlier stage of the same execution opened, or opens it. Executions are told
apart by params, experiment name and project folder, so two queued experiments, or two people on one server,
do not meet in one run. MLflow only watches: whatever goes wrong with it costs one warning and some seconds,
never the pipeline.
"""

from __future__ import annotations

import contextlib
import csv
import ctypes
import getpass
import hashlib
import json
import logging
import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pandas as pd

from clmot.ablation.experiment_name import ExperimentName
from clmot.addresses import without_secrets
from clmot.files import content_hash, dvc_root
from clmot.model_description import identities_seen
from clmot.params import PARAMS_FILE, Params, load_params
from clmot.profiles import described, differences
from clmot.reporting.run_pages import address_of, is_server, keep_view, runs_page
from clmot.wording import listed, one_line

Log = Callable[[int, Mapping[str, float]], None]

MODEL = Path("models/tracker")
EXPERIMENT = "clmot"
EXECUTION_TAG = "clmot.execution"
PROJECT_TAG = "clmot.project"
WORKSPACE_TAG = "clmot.workspace"
DVC_TAGS = ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")

PROCESS_TAG = "clmot.process"
MADE_TAG, FROM_TAG = "clmot.{}.made", "clmot.{}.from"
"""By stage: the hash of what this run trained; and the run that did, where it came from DVC's cache."""
MODEL_NAME, MODEL_TAG = "tracker", "clmot.made"
DESCRIPTION_TAG = "mlflow.note.content"
"""Which MLflow shows as the run's description."""

LOCK_SECONDS = 120
"""How long a stage waits for another that makes the tables of their store (seconds of work)."""
SERVER_SECONDS = 8.0
"""What a server may cost a stage, whatever it does; and"""
SERVER_SHARE = 0.05
"""of the time that the stage has run so far, so that a slow server can watch a long training."""

ANSWER_BYTES = 500_000_000
"""Memory that an answer of a server may take; a whole database of runs takes less."""
LOOK_SECONDS = 0.05
"""Between two looks at it."""

QUIET = {
    # MLflow's own patience is minutes. Ours is seconds, unless the user says otherwise.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",  # which may say an hour
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # with the password in it
    "PGCONNECT_TIMEOUT": "5",  # of PostgreSQL's library, which otherwise waits for minutes
}
DATABASE_ATTEMPTS = 3
"""To open a database. MLflow tries ten times, and waits twice as long after each: nearly two minutes."""


@contextlib.contextmanager
def training_run(
    params: Params, stage: str, out: str | os.PathLike[str] | None = None, record: bool = True
) -> Iterator[Log]:
    """Join this execution's run (or open it) and yield `log(epoch, values)`, which reports a finished epoch.

    Values appear as metrics `<stage>/<name>` at step `epoch`. What the stage left in the folder `out` is then known to
    be of this run; if that is a tracker, it is logged as a model that MLflow can serve. The run stays open for the
    stages that follow. When the block raises, the run is marked failed (killed on Ctrl-C and by `kill`); the next
    execution of the same params reopens and continues it if training resumes behind the last reported epoch, and opens
    another otherwise.

    Without `record` (the process is not the first of several that train together) nothing is reported.
    """
    if not record:
        yield lambda epoch, values: None
        return
    watcher = _Watcher(params)
    watcher.attempt(watcher.join)

    def log(epoch: int, values: Mapping[str, float]) -> None:
        watcher.attempt(lambda: watcher.log_epoch(stage, epoch, values))

    with _ends(lambda: watcher):
        yield log
    if out is not None and Path(out).is_dir():
        watcher.trained(stage, Path(out))


def watched(main: Callable[[], None]) -> Callable[[], None]:
    """A stage that reports nothing until it has ended: where DVC runs it and it raises, this execution's run is marked
    failed (killed on Ctrl-C and by `kill`)."""

    def run() -> None:
        if "DVC_STAGE" not in os.environ:
            main()
            return
        with _ends(lambda: _Watcher(load_params())):
            main()

    return run


@contextlib.contextmanager
def _ends(watching: Callable[[], _Watcher]) -> Iterator[None]:
    """Mark the run where the block raises; `kill` interrupts it as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def end(status: str) -> None:
        watcher = watching()
        if not watcher.run:
            watcher.attempt(watcher.join)
        watcher.attempt(lambda: watcher.end(status))

    ours = threading.current_thread() is threading.main_thread()  # Python hears signals nowhere else
    before = signal.signal(signal.SIGTERM, interrupt) if ours else None
    try:
        yield
    except KeyboardInterrupt:
        end("KILLED")
        raise
    except BaseException:
        end("FAILED")
        raise
    finally:
        if ours:
            signal.signal(signal.SIGTERM, before)


def log_evaluation(
    params: Params,
    summary: Mapping[str, Mapping[str, float]],
    sequences: pd.DataFrame,
    table_path: str | os.PathLike[str],
    pictures: Mapping[str, str | os.PathLike[str]],
    histories: Mapping[str, str | os.PathLike[str]],
) -> str:
    """Complete this execution's run and end it as finished.

    Args:
        params: of this execution.
        summary: `{benchmark: {metric: value}}` and their `mean`, reported as metrics `<benchmark>/<metric>`.
        sequences: the same for every sequence, kept as a CSV artifact.
        table_path: the table of results, kept as an artifact.
        pictures: an annotated frame by benchmark, kept as artifacts.
        histories: a training's history.csv by stage. Epochs that were not reported live, because the stage
            came from DVC's cache, are reported from here.

    Returns:
        What is special about this run and, where it was recorded, where runs are shown: a line each.
    """
    watcher = _Watcher(params)
    watcher.attempt(watcher.join)
    watcher.attempt(lambda: watcher.complete(summary, histories))
    recorded = not watcher.off
    # Files may be kept elsewhere than numbers, where no one may write: the run is over all the same.
    watcher.attempt(lambda: watcher.keep_files(sequences, table_path, pictures), what="keep the run's files")
    special = f"This run: {described(*differences(params))}."
    if not recorded:
        return special
    page = runs_page(address_of(watcher.uri), watcher.experiment, watcher.view)
    return f"{special}\nRuns beside each other: {'' if is_server(watcher.uri) else '`make mlflow`, then '}{page}"


def store_uri() -> str:
    """Where runs are recorded: the user's store, or a file of the project."""
    return os.environ.get("MLFLOW_TRACKING_URI", "") or sqlite_uri(dvc_root() / "mlflow.db")


class _Watcher:
    """This execution's run in the tracking store; after the first failure it does nothing any more."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self.values = {name: _as_text(value) for name, value in params.flat().items()}
        self.name = os.environ.get("DVC_EXP_NAME", "")
        self.project = f"{platform.node()}:{dvc_root()}"
        self.workspace = str(Path.cwd())
        identity = json.dumps([self.project, self.name, self.values], sort_keys=True)
        self.key = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self.uri = store_uri()
        self.patience = Patience.with_store(self.uri)
        self.off = False
        self.first_epoch = True
        self.experiment = ""
        self.view = False
        self.run = ""
        self.client: Any = None
        self.model: Any = None

    def attempt(
        self, action: Callable[[], None], patience: Patience | None = None, what: str = "record this stage"
    ) -> None:
        """Call `action`, with `patience` (None: with that for the store). Anything that goes wrong is said once, as
        `what` MLflow does not do, and ends the watching."""
        if self.off:
            return
        try:
            (patience or self.patience).call(action)
        except Exception as error:  # a store can fail in any way; none of them is worth losing a training
            self.off = True
            if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == "mlflow":
                print("note: mlflow is not installed here, this run is not recorded in it", file=sys.stderr)
                return
            print(f"warning: MLflow does not {what} ({reason_of(error)})", file=sys.stderr)

    def join(self) -> None:
        """Find the unfinished run of this execution and reopen it, or create it."""
        self._connect()
        found = self.client.search_runs(
            [self.experiment],
            f"tags.`{EXECUTION_TAG}` = '{self.key}' and attributes.status != 'FINISHED'",
            order_by=["attributes.start_time DESC"],
            max_results=1,
        )
        if found:
            self.run = found[0].info.run_id
            if found[0].info.status != "RUNNING":
                self.client.update_run(self.run, status="RUNNING")
            self.client.set_tag(self.run, PROCESS_TAG, str(os.getppid()))
            self._bury_the_dead()
        else:
            self._create()

    def log_epoch(self, stage: str, epoch: int, values: Mapping[str, float]) -> None:
        """Report one epoch; if the unfinished run holds it already, this attempt gets its own run."""
        if self.first_epoch and any(step >= epoch for step in self._steps(f"{stage}/loss")):
            self.end("FAILED")
            self._create(again=True)
        self.first_epoch = False
        self._log_metrics({(f"{stage}/{name}", epoch): value for name, value in values.items()})

    def trained(self, stage: str, out: Path) -> None:
        """Note that this run made the folder `out`; log a tracker as a model that can be served."""
        made = content_hash(out)
        self.attempt(lambda: self.client.set_tag(self.run, MADE_TAG.format(stage), made))
        if stage != "train":
            return
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder, MODEL_NAME)
            self.attempt(lambda: self._begin_model(made))
            self.attempt(
                lambda: self._write_model(out, written), Patience(math.inf, 1, math.inf)
            )  # no one is waited for
            self.attempt(lambda: self._end_model(written), what="keep the model")

    def _begin_model(self, made: str) -> None:
        from mlflow.entities import LoggedModelOutput

        self.model = self.client.create_logged_model(self.experiment, MODEL_NAME, self.run, {MODEL_TAG: made})
        self.client.log_outputs(self.run, [LoggedModelOutput(self.model.model_id, step=0)])

    def _write_model(self, out: Path, written: Path) -> None:
        import mlflow.models

        from clmot.export.mlflow_model import write_mlflow_model

        model = self.model.model_id
        ids = mlflow.models.Model(self.model.artifact_location, self.run, model_uuid=model, model_id=model)
        write_mlflow_model(out, written, measured=False, written_as=ids)  # the metrics here are of an earlier model

    def _end_model(self, written: Path) -> None:
        self.client.log_model_artifacts(self.model.model_id, str(written))
        self.client.finalize_logged_model(self.model.model_id, "READY")

    def _is_of_another(self, stage: str, out: Path) -> bool:
        """Whether another run trained what is in `out`, which DVC took from its cache. That run has the curves, and its
        model is named as what this one began with."""
        from mlflow.entities import LoggedModelInput

        made = content_hash(out)
        tag = MADE_TAG.format(stage)
        if self.client.get_run(self.run).data.tags.get(tag) == made:
            return False
        first = self.client.search_runs([self.experiment], f"tags.`{tag}` = '{made}'", max_results=1)
        if not first:
            return False
        self.client.set_tag(self.run, FROM_TAG.format(stage), first[0].info.run_id)
        if stage == "train":
            models = self.client.search_logged_models(
                [self.experiment], f"tags.`{MODEL_TAG}` = '{made}'", max_results=1
            )
            if models:
                self.client.log_inputs(self.run, models=[LoggedModelInput(models[0].model_id)])
        return True

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        self.client.set_terminated(self.run, status)

    def complete(
        self, summary: Mapping[str, Mapping[str, float]], histories: Mapping[str, str | os.PathLike[str]]
    ) -> None:
        """All numbers of a finished run, and its end; see `log_evaluation`."""
        # What is recorded first is what MLflow's table has first; a summary begins with its mean.
        metrics = {(f"{group}/{name}", 0): value for group, scores in summary.items() for name, value in scores.items()}
        for stage, history in histories.items():
            if self._is_of_another(stage, Path(history).parent):
                continue
            for name, rows in _read_history(history).items():
                known = self._steps(f"{stage}/{name}")
                metrics |= {(f"{stage}/{name}", step): v for step, v in rows.items() if step not in known}
        self._log_metrics(metrics)
        seen = identities_seen(MODEL)
        if seen:
            self.client.set_tag(self.run, "seen_identities", one_line("; ".join(seen)))
        self.end("FINISHED")

    def keep_files(
        self,
        sequences: pd.DataFrame,
        table_path: str | os.PathLike[str],
        pictures: Mapping[str, str | os.PathLike[str]],
    ) -> None:
        """The files of a run; see `log_evaluation`."""
        self.client.log_artifact(self.run, str(table_path))
        self.client.log_text(self.run, sequences.to_csv(index=False, lineterminator="\n"), "sequences.csv")
        if Path(PARAMS_FILE).is_file():
            self.client.log_artifact(self.run, PARAMS_FILE)
        for picture in pictures.values():
            self.client.log_artifact(self.run, str(picture), "frames")

    def _connect(self) -> None:
        from mlflow.tracking import MlflowClient

        uri = self.uri
        location = None if os.environ.get("MLFLOW_TRACKING_URI") else (dvc_root() / "mlartifacts").as_uri()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        if "://" in uri and not uri.startswith(("http:", "https:", "file:")):
            from mlflow.store.db import utils

            utils.MAX_RETRY_COUNT = DATABASE_ATTEMPTS
        with _sole_maker(uri):
            self.client = MlflowClient(tracking_uri=uri)
            self.experiment = self._experiment(name, location)
        self.view = keep_view(self.client, self.experiment)

    def _experiment(self, name: str, location: str | None) -> str:
        """The id of the experiment of this name, which is made, or restored, where there is none."""
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            refusal: Exception = LookupError(f"there is no experiment '{name}', and none can be made")
            try:
                self.client.create_experiment(name, artifact_location=location)
            except Exception as error:  # another worker of DVC's queue may have made it at the same moment
                refusal = error
            experiment = self.client.get_experiment_by_name(name)
            if experiment is None:
                raise refusal
        if experiment.lifecycle_stage != "active":
            try:
                self.client.restore_experiment(experiment.experiment_id)
            except Exception as error:
                raise RuntimeError(
                    f"the experiment '{name}' was deleted there and cannot be restored: name another in "
                    "MLFLOW_EXPERIMENT_NAME, or remove it for good with `mlflow gc`"
                ) from error
            print(
                f"note: MLflow's experiment '{name}' had been deleted; it is restored, for this run.", file=sys.stderr
            )
        return str(experiment.experiment_id)

    def _create(self, again: bool = False) -> None:
        from mlflow.entities import Param

        self._bury_the_dead()
        profile, changes = differences(self.params)
        tags = {
            EXECUTION_TAG: self.key,
            PROJECT_TAG: self.project,
            WORKSPACE_TAG: self.workspace,
            PROCESS_TAG: str(os.getppid()),
            "mlflow.source.name": "dvc.yaml",
            "mlflow.user": _user(),
            **{f"mlflow.source.git.{name}": value for name, value in _git_state().items()},
            **{name: os.environ[name] for name in DVC_TAGS if name in os.environ},
            **self._group_tags(),
            DESCRIPTION_TAG: described(profile, changes),
        }
        name = self.name or described(profile, changes, 3)
        if self.name and changes and not ExperimentName.parse(self.name):  # a set's name says what differs
            name = f"{self.name}: {listed(changes, 3)}"
        began = None if again else _execution_began()
        self.run = self.client.create_run(self.experiment, began, tags, name).info.run_id
        # No request may carry more than 100 params.
        params = [Param(key, value) for key, value in self.values.items()]
        for start in range(0, len(params), 100):
            self.client.log_batch(self.run, params=params[start : start + 100])

    def _group_tags(self) -> dict[str, str]:
        """The set of variants that an experiment is of, by its name; and that a baseline has seen identities."""
        ours = ExperimentName.parse(self.name)
        tags = ours.tags() if ours else {}
        seen = {"baseline": "supervised"} if self.params.loss.embedding == "supervised" else {}
        bound = {"bound": "oracle"} if self.params.track.embedding == "oracle" else {}
        return tags | seen | bound

    def _bury_the_dead(self) -> None:
        """Mark other runs as killed whose process is gone: one workspace runs one execution at a time."""
        for run in self.client.search_runs([self.experiment], "attributes.status = 'RUNNING'"):
            tags = run.data.tags
            # Compared here: a filter cannot express every path, say one with a quotation mark.
            ours = tags.get(PROJECT_TAG) == self.project and run.info.run_id != self.run
            workspace = tags.get(WORKSPACE_TAG, "")
            left = workspace == self.workspace or not Path(workspace).exists() or _is_gone(tags.get(PROCESS_TAG, ""))
            if ours and left:
                self.client.set_terminated(run.info.run_id, "KILLED")

    def _steps(self, metric: str) -> set[int]:
        return {point.step for point in self.client.get_metric_history(self.run, metric)}

    def _log_metrics(self, values: Mapping[tuple[str, int], float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, step) for (name, step), value in values.items()]
        for start in range(0, len(metrics), 1000):  # no request may carry more
            self.client.log_batch(self.run, metrics=metrics[start : start + 1000])


@dataclass
class Patience:
    """How long a stage may wait for its store in all. A server can keep a client waiting in more ways than any timeout
    of a client's knows: by a byte a second, by an answer without an end, by asking it to come back in an hour."""

    seconds: float
    share: float
    """Of the time that the stage has run so far, which counts as well."""
    memory: float = ANSWER_BYTES
    """Bytes that it may take."""
    began: float = field(default_factory=time.monotonic)
    waited: float = 0

    @classmethod
    def with_store(cls, uri: str) -> Patience:
        """Seconds for a server. A file on this machine may be waited for: it costs work, not trust."""
        is_file = uri.startswith("file:") or "://" not in uri or sqlite_file(uri) is not None
        return cls(2 * LOCK_SECONDS, 1) if is_file else cls(SERVER_SECONDS, SERVER_SHARE)

    def call(self, action: Callable[[], None]) -> None:
        """Call `action`; raises what it raises, or TimeoutError when it has not ended in time."""
        get_ready()
        now = time.monotonic()
        left = self.seconds + self.share * (now - self.began) - self.waited
        try:
            in_time(action, max(left, 0), self.memory)
        finally:
            self.waited += time.monotonic() - now


def in_time(action: Callable[[], None], seconds: float, most: float = ANSWER_BYTES) -> None:
    """Call `action` in a thread, and leave that alone, or stop it where that is possible, when its time is over or it
    takes more memory than any answer needs (`most`, in bytes).

    Raises:
        TimeoutError: it was not done in time, or in that memory.
    """
    outcome: list[BaseException | None] = []
    end, memory = time.monotonic() + seconds, _memory() + most

    def run() -> None:
        try:
            action()
            outcome.append(None)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)  # no process waits for it at its end
    thread.start()
    while thread.is_alive() and (left := end - time.monotonic()) > 0 and _memory() < memory:
        thread.join(min(left, LOOK_SECONDS))
    if not outcome:
        # A loop that reads an answer without an end would fill the memory. A thread that waits is not reached.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))
        too_late = time.monotonic() >= end
        raise TimeoutError("its server does not answer in time" if too_late else "its server's answer has no end")
    if outcome[0] is not None:
        raise outcome[0]


def _memory() -> int:
    """Bytes that this process has in memory."""
    import psutil  # comes with MLflow, which may be absent

    return int(psutil.Process().memory_info().rss)


def get_ready() -> None:
    """Import MLflow, which takes seconds that only stages pay that report, and keep it quiet: `attempt` says what goes
    wrong, once."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow.tracking  # noqa: F401

    for name in ("mlflow", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def reason_of(error: BaseException) -> str:
    """What went wrong, in a line for the screen: servers' own words, without passwords."""
    text = str(error)
    if "out-of-date database schema" in text:  # which it says of one that is ahead of its time, too
        return "its database is of another version of MLflow: use that version, or `mlflow db upgrade` of a newer one"
    lines = without_secrets(text).strip().splitlines()
    return one_line(lines[0] if lines else type(error).__name__)


def sqlite_uri(path: Path) -> str:
    """The database at an absolute path, as MLflow takes it.

    Versions of SQLAlchemy differ in what they make of `%20` in a path, and all take `?` for its end. MLflow makes the
    folders of what follows `sqlite:///` literally. So paths that they read differently get SQLite's own
    form, `file:` with percent signs, behind a prefix that MLflow leaves alone.
    """
    from sqlalchemy.engine import URL

    if not set("%?") & set(str(path)):
        return f"sqlite:///{path}"
    url = URL.create("sqlite+pysqlite", database=f"file:{quote(path.as_posix())}", query={"uri": "true"})
    return url.render_as_string()


def sqlite_file(uri: str) -> str | None:
    """The file of an SQLite database; None for one in memory, and for every other store."""
    if not uri.startswith(("sqlite:", "sqlite+")):
        return None
    from sqlalchemy.engine import make_url

    name = make_url(uri).database or ":memory:"
    name = unquote(urlsplit(name).path) if name.startswith("file:") else name
    return None if name == ":memory:" else name


@contextlib.contextmanager
def _sole_maker(uri: str) -> Iterator[None]:
    """One process at a time makes the tables of an SQLite store, which its first client does: workers of DVC's queue
    that start together would stumble over each other's. Servers see to that themselves."""
    file = sqlite_file(uri)
    if file is None:
        yield
        return
    from filelock import FileLock

    with FileLock(f"{file}.lock", timeout=LOCK_SECONDS):
        yield


def _is_gone(process: str) -> bool:
    """Whether the process of this id has ended; False where the system does not tell."""
    return process.isdigit() and Path("/proc/self").exists() and not Path("/proc", process).exists()


def _execution_began() -> int | None:
    """When the DVC that runs this stage was started, in milliseconds since 1970; None: none does."""
    import psutil  # comes with MLflow, which may be absent

    with contextlib.suppress(psutil.Error):
        for process in psutil.Process().parents()[:2]:  # between them may be a shell
            if any(Path(word).name == "dvc" for word in process.cmdline()[:4]):
                return int(process.create_time() * 1000)
    return None


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _read_history(path: str | os.PathLike[str]) -> dict[str, dict[int, float]]:
    """`{column: {epoch: value}}` of a history.csv."""
    columns: dict[str, dict[int, float]] = {}
    with open(path, newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            epoch = int(float(row.pop("epoch")))
            for name, value in row.items():
                columns.setdefault(name, {})[epoch] = float(value)
    return columns


def _git_state() -> dict[str, str]:
    """Commit and branch of the working tree, and whether files differ from the commit; empty outside Git."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        state = {
            "commit": git("rev-parse", "HEAD"),
            "branch": git("rev-parse", "--abbrev-ref", "HEAD"),
            "dirty": "true" if git("status", "--porcelain", "--untracked-files=no") else "false",
        }
        if state["branch"] == "HEAD":  # on no branch: DVC runs experiments so
            del state["branch"]
        return state
    except (OSError, subprocess.SubprocessError):
        return {}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"
