"""`clmot profile`: profiles as what differs from the default, put in place without losing anyone's changes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from clmot.cli.main import run
from clmot.errors import InputError
from clmot.params import DEFAULT_FILE, load_params, parse_params
from clmot.profiles import FILM, FILM_FILE, make_profile, read_profiles
from clmot.typed_yaml import leaves

ROOT = Path(__file__).parents[2]
DEFAULT_TEXT = DEFAULT_FILE.read_text(encoding="utf-8")
NAMES = ["mini", "film", "mot17-half", "paper"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the profiles and params.yaml as they are shipped, and the current one."""
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    shutil.copy(DEFAULT_FILE, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(path: Path, pattern: str, new: str) -> None:
    """Replace the first match of a regular expression in a file."""
    text, replaced = re.subn(pattern, new, path.read_text(), count=1)
    assert replaced
    path.write_text(text)


def made_from(changes: str) -> str:
    """A whole params.yaml from what profiles/mine.yaml changes."""
    return make_profile("mine", DEFAULT_TEXT, changes, "profiles/mine.yaml").text


def changed_lines(old: str, new: str) -> list[tuple[str, str]]:
    """The lines that differ, of texts with equally many."""
    return [pair for pair in zip(old.splitlines(), new.splitlines(), strict=True) if pair[0] != pair[1]]


def keys(text: str) -> list[str]:
    """The lines of keys, without those of lists' items."""
    return [line for line in text.splitlines() if not line.lstrip().startswith("- ")]


class TestShippedProfiles:
    def test_there_are(self, project: Path) -> None:
        assert list(read_profiles()) == NAMES

    def test_params_yaml_is_the_default(self) -> None:
        """A new param is one line in clmot/default_params.yaml; `clmot profile mini --force` writes params.yaml."""
        assert (ROOT / "params.yaml").read_text(encoding="utf-8") == DEFAULT_TEXT

    @pytest.mark.parametrize("name", NAMES[1:])
    def test_a_profile_changes_values_and_keeps_the_comments(self, name: str, project: Path) -> None:
        file = FILM_FILE if name == FILM else project / "profiles" / f"{name}.yaml"
        changes = dict(leaves(yaml.safe_load(file.read_text())))
        profile, default = read_profiles()[name], read_profiles()["mini"]
        assert parse_params(profile.text) == profile.params
        assert profile.params.flat() == default.params.flat() | changes
        body = profile.text[profile.text.index("\nseed:") :], DEFAULT_TEXT[DEFAULT_TEXT.index("\nseed:") :]
        for new, old in zip(*map(keys, body), strict=True):
            assert new == old or new.partition("#")[2] == old.partition("#")[2]
            assert new.partition(":")[0] == old.partition(":")[0]

    def test_each_says_what_it_is_for(self, project: Path) -> None:
        for name, profile in read_profiles().items():
            assert profile.text.startswith(f'# Profile "{name}": {profile.about}\n')
            assert profile.about

    def test_paper_is_the_original(self, project: Path) -> None:
        paper = read_profiles()["paper"].params
        assert (paper.model.backbone, paper.model.operator, paper.model.embedding_dim) == ("dla34", "dcn", 512)
        assert paper.model.input_size == (1088, 608)
        assert (paper.loss.temperature, paper.loss.weighting) == (0.5, "frozen")
        assert (paper.train.epochs, paper.train.milestones, paper.train.learning_rate) == (30, (20, 27), 1e-4)
        assert (paper.track.confidence, paper.track.match_threshold) == (0.6, 0.7)


class TestText:
    """params.yaml as a profile writes it."""

    def test_a_value_takes_the_place_of_the_defaults(self) -> None:
        new = made_from("loss:\n  temperature: 1e-1  # a reason\n")
        ((old_line, new_line),) = changed_lines(DEFAULT_TEXT, new)[1:]
        assert new_line == re.sub(r"temperature: \S+ *", "temperature: 1e-1".ljust(old_line.index("#") - 2), old_line)

    def test_a_longer_value_moves_its_comment(self) -> None:
        backbone = "a_name_that_is_longer_than_that_of_the_default_network"
        (_, (_, line)) = changed_lines(DEFAULT_TEXT, made_from(f"model: {{backbone: {backbone}}}"))
        assert line.startswith(f"  backbone: {backbone}  # ")

    @pytest.mark.parametrize("written", ["[0.5, 1.50]", "\n    - 0.5\n    - 1.50"])
    def test_a_list_has_a_line_for_each_item(self, written: str) -> None:
        new = made_from(f"views:\n  scale: {written}\n")
        assert [pair[1] for pair in changed_lines(DEFAULT_TEXT, new)[1:]] == ["  - 0.5", "  - 1.50"]

    def test_lists_become_longer_and_empty(self) -> None:
        new = made_from("model: {neck_channels: []}\npretrain: {schedule: step, milestones: [2, 4]}\n")
        assert re.search(r"(?m)^  neck_channels: \[\] +# .*\n  input_size: ", new)
        assert re.search(r"(?m)^  milestones: +# epochs.*\n  - 2\n  - 4\n  weight_decay: ", new)
        assert parse_params(new).model.neck_channels == ()

    def test_sets_of_images(self) -> None:
        entry = "{name: a, format: coco, images: /a, labels: /a.json, weight: 1, classes: [person]}"
        flow, block = made_from(f"data: {{extra: [{entry}]}}"), made_from(f"data:\n  extra:\n    - {entry}\n")
        assert parse_params(flow).data.extra == parse_params(block).data.extra
        assert parse_params(flow).data.extra[0].classes == ("person",)

    @pytest.mark.parametrize(
        ("changes", "begin"),
        [
            ("seed: 1\n", '# Profile "mine".\n#\n# Every'),
            ("# Two lines about\n# what it is for.\n\nseed: 1\n", "# Two lines about\n# what it is for.\n#\n# Every"),
        ],
    )
    def test_the_header_is_the_profiles(self, changes: str, begin: str) -> None:
        assert made_from(changes).startswith(begin)

    @pytest.mark.parametrize("change", ["loss.temperature=0.123", "track.lost_seconds=7.5", "model.backbone=resnet18"])
    @pytest.mark.parametrize("name", NAMES)
    def test_one_param_changed_by_dvc_is_one_line_changed(self, name: str, change: str, project: Path) -> None:
        """What `dvc exp run -S` does to the file."""
        run(["profile", name])
        text = (project / "params.yaml").read_text()
        apply_overrides("params.yaml", [change])
        ((old, new),) = changed_lines(text, (project / "params.yaml").read_text())
        name, value = change.split("=")
        key = name.rpartition(".")[2]
        assert re.match(rf" +{key}: {value} +# ", new)
        assert old.partition("# ")[2] == new.partition("# ")[2]

    def test_sets_of_images_are_written_as_dvc_writes_them(self, project: Path) -> None:
        entry = "{name: a, format: coco, images: /a, labels: /a.json, weight: 1, classes: [person]}"
        text = made_from(f"data: {{extra: [{entry}]}}")
        (project / "params.yaml").write_text(text)
        apply_overrides("params.yaml", ["loss.temperature=0.123"])
        assert len(changed_lines(text, (project / "params.yaml").read_text())) == 1


class TestUse:
    def test_puts_a_profile_in_place(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        run(["profile", "paper"])
        profiles = read_profiles()
        assert (project / "params.yaml").read_text() == profiles["paper"].text
        said = capsys.readouterr().out.splitlines()
        mini, paper = profiles["mini"].params.flat(), profiles["paper"].params.flat()
        assert said[0] == "params.yaml is now profile 'paper'."
        assert said[1:] == [f"  {key}: {mini[key]} -> {paper[key]}" for key in mini if mini[key] != paper[key]]
        assert f"  model.backbone: {mini['model.backbone']} -> dla34" in said
        run(["profile", "mini"])
        assert (project / "params.yaml").read_text() == DEFAULT_TEXT

    def test_the_default_comes_back_without_git_and_without_profiles(self, project: Path) -> None:
        shutil.rmtree(project / "profiles")
        (project / "params.yaml").unlink()
        run(["profile", "mini"])
        assert (project / "params.yaml").read_text() == DEFAULT_TEXT

    def test_keeps_what_someone_changed(self, project: Path) -> None:
        change(project / "params.yaml", r"temperature: [\d.]+", "temperature: 0.123")
        before = (project / "params.yaml").read_bytes()
        with pytest.raises(InputError, match=r"differs from profile 'mini' in loss\.temperature: .*--force"):
            run(["profile", "paper"])
        assert (project / "params.yaml").read_bytes() == before
        run(["profile", "paper", "--force"])
        assert load_params(project / "params.yaml").model.backbone == "dla34"

    def test_ignores_how_a_file_is_laid_out(self, project: Path) -> None:
        """The same values in other spacing are no one's work."""
        text = (project / "params.yaml").read_text()
        (project / "params.yaml").write_text("\n".join(line.split("  #")[0] for line in text.splitlines()) + "\n")
        run(["profile", "mini"])
        assert (project / "params.yaml").read_text() == text

    def test_with_broken_params(self, project: Path) -> None:
        change(project / "params.yaml", "temperature:", "temprature:")
        with pytest.raises(InputError, match=r"temprature.*--force"):
            run(["profile", "mini"])
        run(["profile", "mini", "--force"])
        load_params(project / "params.yaml")

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ("# mine\n\nloss:\n  temprature: 0.1\n", r"mine\.yaml:4: unknown key 'loss\.temprature'; did you mean"),
            ("temperature: 0.1\n", r"mine\.yaml:1: unknown key 'temperature'; it belongs at 'loss\.temperature'"),
            (
                "seed: 0\nloss:\n  temperature: hot\n",
                r"mine\.yaml:3: 'loss\.temperature' should be a number, got 'hot'",
            ),
            ("seed: 1\nseed: 2\n", r"mine\.yaml:2: 'seed' is set twice"),
            ("loss: 3\n", r"mine\.yaml:1: 'loss' should be a section"),
            ("- 3\n", r"mine\.yaml:1: the file should be a section"),
            ("loss: [\n", r"mine\.yaml:2 is not valid YAML"),
            ("# nothing\n", r"mine\.yaml is empty"),
            ("\nhardware:\n  device: gpu\n", r"mine\.yaml:3: 'hardware\.device' should be auto, cpu, cuda or cuda:N"),
            (
                "track:\n  confidence: 0.99\n",
                r"mine\.yaml on clmot/default_params\.yaml:\d+: 'track\.new_track_con.*\(0\.99\)",
            ),
        ],
    )
    def test_a_broken_profile_replaces_nothing(self, changes: str, words: str, project: Path) -> None:
        before = (project / "params.yaml").read_bytes()
        (project / "profiles" / "mine.yaml").write_text(changes)
        with pytest.raises(InputError, match=words):
            run(["profile", "mine"])
        assert (project / "params.yaml").read_bytes() == before

    def test_a_profile_of_ones_own(self, project: Path) -> None:
        (project / "profiles" / "mine.yaml").write_text("loss:\n  temperature: 0.07\n")
        run(["profile", "mine"])
        assert load_params().loss.temperature == 0.07

    def test_the_defaults_name_is_taken(self, project: Path) -> None:
        (project / "profiles" / "mini.yaml").write_text("seed: 1\n")
        with pytest.raises(InputError, match=r"profiles/mini\.yaml: 'mini' is the default's name.*rename"):
            run(["profile", "mini"])

    @pytest.mark.parametrize(("name", "words"), [("mnii", "did you mean 'mini'"), ("xyz", ", ".join(NAMES))])
    def test_no_such_profile(self, project: Path, name: str, words: str) -> None:
        with pytest.raises(InputError, match=words):
            run(["profile", name])


class TestDescribe:
    def test_names_the_profiles_and_the_differences(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        run(["profile"])
        *listed, empty, verdict = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in listed] == NAMES
        assert (empty, verdict) == ("", "params.yaml is valid; it is profile 'mini'.")
        change(project / "params.yaml", r"temperature: [\d.]+", "temperature: 0.123")
        run(["profile"])
        *_, verdict, difference = capsys.readouterr().out.splitlines()
        assert verdict == "params.yaml is valid; it is profile 'mini' with these changes:"
        assert re.fullmatch(r"  loss\.temperature: \S+ -> 0\.123", difference)

    def test_outside_a_project(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match=r"params\.yaml does not exist: run from the project's folder"):
            run(["profile"])

    def test_force_needs_a_name(self, project: Path) -> None:
        with pytest.raises(InputError, match="name a profile"):
            run(["profile", "--force"])
