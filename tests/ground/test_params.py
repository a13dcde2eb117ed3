"""params.yaml: read into types, and every mistake told in one sentence that names key, line and way out."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
import yaml

from clmot.errors import InputError
from clmot.params import RULES, load_params, parse_params

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
LINES = TEXT.splitlines()


def line_of(key: str) -> int:
    """The number of the (first) line that sets `key`."""
    return next(n for n, line in enumerate(LINES, 1) if line.strip().startswith(f"{key}:"))


def with_line(key: str, new: str) -> str:
    """The file with the first line that sets `key` replaced."""
    lines = list(LINES)
    old = lines[line_of(key) - 1]
    lines[line_of(key) - 1] = old[: len(old) - len(old.lstrip())] + new
    while lines[line_of(key)].lstrip().startswith("- "):  # the items of a list
        del lines[line_of(key)]
    return "\n".join(lines) + "\n"


def message(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_params(text)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_the_file_says_what_the_types_hold() -> None:
    assert parse_params(TEXT).as_dict() == yaml.safe_load(TEXT)


def test_flat_names_are_dotted() -> None:
    flat = parse_params(TEXT).flat()
    assert flat["loss.temperature"] == yaml.safe_load(TEXT)["loss"]["temperature"]
    assert flat["data.synthetic.frames"] == yaml.safe_load(TEXT)["data"]["synthetic"]["frames"]
    assert not any(isinstance(value, dict) for value in flat.values())


def test_values_cannot_be_changed() -> None:
    params = parse_params(TEXT)
    with pytest.raises(dataclasses.FrozenInstanceError):
        params.loss.temperature = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("spelling", ["1e-4", "0.0001", "1.0e-4"])
def test_numbers_as_people_write_them(spelling: str) -> None:
    assert parse_params(with_line("learning_rate", f"learning_rate: {spelling}")).pretrain.learning_rate == 1e-4


def test_a_whole_number_serves_as_a_number() -> None:
    value = parse_params(with_line("temperature", "temperature: 1")).loss.temperature
    assert value == 1.0
    assert isinstance(value, float)


@pytest.mark.parametrize(
    ("key", "new", "words"),
    [
        (
            "temperature",
            "temprature: 0.5",
            ["unknown key 'loss.temprature'", "did you mean 'loss.temperature'"],
        ),
        ("confidence", "temperature: 0.5", ["unknown key 'track.temperature'", "'loss.temperature'"]),
        (
            "focal_alpha",
            "temperature: 0.5",
            ["'loss.detection.temperature'", "belongs at 'loss.temperature'"],
        ),
        ("focal_alpha", "seed: 0", ["unknown key 'loss.detection.seed'", "it belongs at 'seed'"]),
        ("temperature", "temperature: !odd 3", ["'loss.temperature'", "a number"]),
        ("epochs", "epochs: 2020-13-45", ["'pretrain.epochs'", "a whole number", "'2020-13-45'"]),
        ("temperature", "temperature: hot", ["'loss.temperature'", "a number", "'hot'"]),
        ("temperature", "temperature: 0", ["'loss.temperature'", "above 0"]),
        ("temperature", "temperature: -1", ["'loss.temperature'", "above 0"]),
        ("temperature", "temperature: .nan", ["'loss.temperature'", "a number"]),
        ("temperature", f"temperature: 1{'0' * 400}", ["'loss.temperature'", "a number"]),
        ("temperature", "temperature: .inf", ["'loss.temperature'", "a number"]),
        ("temperature", "temperature: true", ["'loss.temperature'", "a number"]),
        ("temperature", "temperature:", ["'loss.temperature'", "nothing"]),
        ("temperature", "temperature: [1, 2]", ["'loss.temperature'", "a list"]),
        ("temperature", "temperature: {a: 1}", ["'loss.temperature'", "a section"]),
        ("epochs", "epochs: 1.5", ["'pretrain.epochs'", "a whole number"]),
        ("epochs", "epochs: -1", ["'pretrain.epochs'", "at least 0"]),
        ("epochs", "epochs: true", ["'pretrain.epochs'", "a whole number"]),
        ("second_pass", "second_pass: 1", ["'track.second_pass'", "true or false"]),
        ("second_pass", "second_pass: 'false'", ["'track.second_pass'", "true or false"]),
        ("operator", "operator: dnc", ["'model.operator'", "dcn, conv", "did you mean 'dcn'"]),
        ("split", "split: halves", ["'data.split'", "did you mean 'half'"]),
        ("source", "source: 5", ["'data.source'", "text"]),
        ("benchmarks", "benchmarks: [MOT18]", ["'data.benchmarks'", "MOT15, MOT17, MOT20", "did you mean"]),
        ("benchmarks", "benchmarks: []", ["'data.benchmarks'", "empty"]),
        ("benchmarks", "benchmarks: MOT17", ["'data.benchmarks'", "a list"]),
        ("input_size", "input_size: [448]", ["'model.input_size'", "2 values", "got 1"]),
        ("validation_sequences", "validation_sequences: [MOT17-02]", ["'data.validation_sequences'"]),
        ("seed", "seed: -1", ["'seed'", "at least 0"]),
        ("device", "device: cuda:-1", ["'hardware.device'", "'cuda:-1'"]),
        ("flagged", "flagged: [14]", ["'strip.flagged'", "at most 13"]),
    ],
)
def test_a_wrong_line(key: str, new: str, words: list[str]) -> None:
    sentence = message(with_line(key, new))
    assert all(word in sentence for word in words), sentence
    assert sentence.startswith("params.yaml")


class LineAValue(yaml.SafeDumper):
    """Sections as lines, lists within their line: every value is in a line of its own, behind its key."""


LineAValue.add_representer(list, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, True))


def with_values(**values: object) -> str:
    """The file with other values, dots written as `__`."""
    contents = yaml.safe_load(TEXT)
    for name, value in values.items():
        *sections, key = name.split("__")
        section = contents
        for part in sections:
            section = section[part]
        assert key in section
        section[key] = value
    return yaml.dump(contents, Dumper=LineAValue, sort_keys=False)


CONTRADICTIONS = [
    (
        {"strip__keep_identities": True},
        "'strip.keep_identities' is true, but 'loss.embedding: nt_xent' reads no identities: set it to false; they "
        "stay behind the wall then.",
    ),
    (
        {"strip__held_out_identities": True, "track__embedding": "colour"},
        "'strip.held_out_identities' is true, but 'track.embedding: colour' reads no identities of tracked frames: set "
        "it to false.",
    ),
    (
        {"model__embedder": "crop", "train__previous_frame": True},
        "'train.previous_frame' is true, but 'model.embedder: crop' finds pairs along tracklets, not in the frame "
        "before: set it to false.",
    ),
    (
        {"model__embedder": "crop", "train__held_out": 0.1},
        "'train.held_out' is 0.1, but a crop encoder finds no boxes whose AP could be told: set it to 0.",
    ),
    (
        {"model__embedder": "crop", "loss__off_centre": True},
        "'loss.off_centre' is true, but 'model.embedder: crop' reads whole boxes and no centres: set it to false.",
    ),
    (
        {"model__embedder": "crop", "model__projection_dim": 64},
        "'model.projection_dim' is 64, but 'model.embedder: crop' has a projection of its own: set it to 0.",
    ),
    (
        {"evaluate__repeats": 4, "evaluate__drop": 0},
        "'evaluate.drop' is 0, so that all 4 repeats would be the same run: raise it, or set 'evaluate.repeats: 0'.",
    ),
    (
        {"track__embedding": "constant", "track__refind_seconds": 2},
        "'track.refind_seconds' is 2, but with 'track.embedding: constant' everyone looks the same to a track: set it "
        "to 0.",
    ),
    ({"hardware__device": "gpu"}, "'hardware.device' should be auto, cpu, cuda or cuda:N, got 'gpu'."),
    (
        {"data__benchmarks": ["MOT17", "MOT17"]},
        "'data.benchmarks' names a benchmark twice: ['MOT17', 'MOT17'].",
    ),
    (
        {"data__archives": "zips", "data__source": "films"},
        "'data.archives' is 'zips', but with 'data.source: films' nothing is fetched that could be there: name that "
        "folder in 'data.source', or set it to none.",
    ),
    *(
        (
            {"data__classes": ["car"], "data__source": source},
            f"'data.classes' is ['car'], but the films of 'data.source: {source}' have MOTChallenge's classes, of "
            "which 'strip.classes' chooses: set it to [].",
        )
        for source in ("synthetic", "official")
    ),
    *(
        (
            {"model__operator": "dcn", "model__neck": neck},
            f"'model.operator' is dcn, but 'model.neck: {neck}' has no node that could be deformable: set it to conv.",
        )
        for neck in ("concat", "squeeze")
    ),
    *(
        (
            {f"loss__{key}": word, **values},
            f"'loss.{key}' is {word}, but {shown} contrasts no frames: set it to {usual}.",
        )
        for key, word, usual in (("negatives", "batch", "frame"), ("average", "frames", "pairs"))
        for values, shown in (
            ({"loss__embedding": "none"}, "none of a head encoder"),
            ({"model__embedder": "crop"}, "nt_xent of a crop encoder"),
        )
    ),
    (
        {"track__embedding": "oracle"},
        "'track.embedding' is oracle, the true identity, and those are stripped: set 'strip.held_out_identities: true' "
        "as well (no training sees them).",
    ),
    (
        {"track__link": "offline", "track__embedding": "none"},
        "'track.link' is offline, but with 'track.embedding: none' there are no looks by which tracks are one person's"
        ": set it to none.",
    ),
    (
        {"track__reentry": "same", "track__association": "fairmot"},
        "'track.reentry' is same, but 'track.association: fairmot' finds people again wherever they went: set it to "
        "new, or 'track.refind_seconds' above 0 instead.",
    ),
    (
        {"data__split": "sequence"},
        "'data.validation_sequences' goes with 'data.split: sequence' and only with it; the split is 'sequence' and "
        "the sequences are [].",
    ),
    (
        {"model__input_size": [450, 256]},
        "'model.input_size' should be multiples of 32 (the deepest stride), got [450, 256].",
    ),
    (
        {"model__neck_channels": [8, 8]},
        "'model.neck_channels' should be empty or four numbers (strides 4, 8, 16, 32), got [8, 8].",
    ),
    (
        {"model__neck": "deconv", "model__backbone": "hrnet_w18"},
        "'model.neck' is deconv, which reads stride 32 alone, but hrnet_w18 is built to keep the finer strides: take "
        "squeeze (the original's), concat (FairMOT's), dla or fpn.",
    ),
    (
        {"model__projection_dim": 64, "loss__embedding": "none"},
        "'model.projection_dim' is 64, but 'loss.embedding: none' contrasts nothing that could go through a "
        "projection: set it to 0.",
    ),
    (
        {"model__projection_dim": 64, "loss__embedding": "supervised", "strip__keep_identities": True},
        "'model.projection_dim' is 64, but 'loss.embedding: supervised' contrasts nothing that could go through a "
        "projection: set it to 0.",
    ),
    ({"views__scale": [1.2, 0.5]}, "'views.scale' should be [lowest, highest], got [1.2, 0.5]."),
    ({"views__blur_sigma": [2, 1]}, "'views.blur_sigma' should be [lowest, highest], got [2.0, 1.0]."),
    (
        {"views__colour_strength": [1, 1, 1, 0.6]},
        "'views.colour_strength' ends with a part of a turn of hue, which is at most 0.5, got [1.0, 1.0, 1.0, 0.6].",
    ),
    *(
        contradiction
        for stage in ("pretrain", "train")
        for contradiction in (
            (
                {f"{stage}__schedule": "cosine", f"{stage}__milestones": [1]},
                f"'{stage}.milestones' is [1], which '{stage}.schedule: cosine' does not read: set the schedule to "
                "step, or the milestones to [].",
            ),
            (
                {f"{stage}__schedule": "step", f"{stage}__milestones": [2, 1], f"{stage}__epochs": 9},
                f"'{stage}.milestones' should rise, got [2, 1].",
            ),
            (
                {f"{stage}__schedule": "step", f"{stage}__milestones": [2, 9], f"{stage}__epochs": 9},
                f"'{stage}.milestones' is [2, 9], but training ends after 9 epochs and would not get to the last: name "
                f"earlier epochs, or raise '{stage}.epochs'.",
            ),
            (
                {f"{stage}__keep": "best"},
                f"'{stage}.keep' is best, which frames that do not train decide, but there are none: set "
                f"'{stage}.held_out' to 0.1, say, or keep the last.",
            ),
        )
    ),
    (
        {"train__previous_frame": True, "loss__embedding": "none"},
        "'train.previous_frame' is true, but 'loss.embedding: none' looks for no one in the frame before: set it to "
        "false.",
    ),
    (
        {"loss__embedding": "supervised"},
        "'loss.embedding' is supervised, which learns from identities, and those are stripped: set "
        "'strip.keep_identities: true' as well (and do not call the result unsupervised).",
    ),
    (
        {"loss__off_centre": True, "loss__embedding": "none"},
        "'loss.off_centre' is true, but 'loss.embedding: none' reads no embedding, at centres or beside them: set it "
        "to false.",
    ),
    (
        {"track__confidence": 0.5, "track__new_track_confidence": 0.4},
        "'track.new_track_confidence' (0.4) should be at least 'track.confidence' (0.5): no detection below that is "
        "used.",
    ),
    (
        {"track__second_pass": True, "track__confidence": 0.2, "track__second_pass_confidence": 0.2},
        "'track.second_pass_confidence' (0.2) should be below 'track.confidence' (0.2): the second pass takes the "
        "detections between them.",
    ),
    *(
        (
            {
                "track__projection": "film",
                "track__embedding": embedding,
                "strip__held_out_identities": embedding == "oracle",
            },
            f"'track.projection' is film, but with 'track.embedding: {embedding}' there is nothing to project: set it "
            "to none.",
        )
        for embedding in ("none", "constant", "oracle")
    ),
    (
        {"track__refind_seconds": 3, "track__embedding": "none"},
        "'track.refind_seconds' is 3, but with 'track.embedding: none' there is nothing to find a track again by: "
        "set it to 0.",
    ),
    (
        {"hardware__cluster": "local"},
        "'hardware.cluster' should be none, auto or ray://HOST:PORT, got 'local'.",
    ),
]


@pytest.mark.parametrize(("values", "sentence"), CONTRADICTIONS)
def test_values_that_contradict_each_other(values: dict[str, object], sentence: str) -> None:
    text = with_values(**values)
    where, _, problem = message(text).partition(": ")
    assert problem == sentence
    name, _, line = where.partition(":")
    key = sentence.split("'")[1].rpartition(".")[2]
    assert name == "params.yaml"
    assert text.splitlines()[int(line) - 1].strip().startswith(f"{key}:"), "the line is the value's own"


def test_every_rule_has_a_test() -> None:
    assert {rule.key for rule in RULES} == {sentence.split("'")[1] for _, sentence in CONTRADICTIONS}


@pytest.mark.parametrize(
    "values",
    [
        # One of the two alone, and what lies on the border.
        {"train__schedule": "step", "train__milestones": [1, 3], "train__epochs": 4},
        {"train__schedule": "step", "train__milestones": [20, 27], "train__epochs": 0},
        {"train__schedule": "step"},
        {"model__projection_dim": 64, "loss__embedding": "triplet_all"},
        {"loss__off_centre": True, "train__previous_frame": True},
        {"loss__embedding": "none"},
        {"track__confidence": 0.5, "track__new_track_confidence": 0.5},
        {"track__confidence": 0, "track__new_track_confidence": 0},
        {"track__second_pass_confidence": 0.9},  # no one asks for it
        {"track__refind_seconds": 3},
        {"track__embedding": "none"},
        {"data__split": "sequence", "data__validation_sequences": ["MOT17-02"]},
        {"strip__held_out_identities": True, "track__embedding": "oracle"},
        {"model__embedder": "crop"},
        {"data__archives": "zips", "data__source": "official"},
        {"data__archives": "zips", "data__source": "https://mirror/films"},
        {"data__classes": ["car"], "data__source": "films"},
        {"track__reentry": "same", "track__association": "fairmot", "track__link": "offline"},
        {"track__link": "offline", "track__embedding": "colour"},
        {"evaluate__drop": 0},
        {"model__neck": "squeeze", "model__backbone": "hrnet_w18"},
        *({"hardware__device": device} for device in ("auto", "cpu", "cuda", "cuda:3")),
    ],
)
def test_values_that_go_together(values: dict[str, object]) -> None:
    parse_params(with_values(**values))


@pytest.mark.parametrize(
    ("key", "new"),
    [("temperature", "temprature: 0.5"), ("operator", "operator: dnc"), ("epochs", "epochs: many")],
)
def test_the_line_is_named(key: str, new: str) -> None:
    assert message(with_line(key, new)).startswith(f"params.yaml:{line_of(key)}: ")


ENTRY = "name: a, format: jde, images: /data/images, labels: /data/labels, weight: 0.5, classes: [0, rider]"


def extra(*entries: str) -> str:
    """The file with sets in `data.extra`, an entry a line."""
    return with_line("extra", "\n    - ".join(["extra:", *(f"{{{entry}}}" for entry in entries)]))


def test_a_list_of_sections() -> None:
    params = parse_params(extra(ENTRY, ENTRY.replace("name: a", "name: b")))
    first, second = params.data.extra
    assert (first.name, second.name) == ("a", "b")
    assert (first.weight, first.classes, first.labels) == (0.5, (0, "rider"), "/data/labels")
    flat = params.flat()
    assert [entry["name"] for entry in flat["data.extra"]] == ["a", "b"]
    assert not any(key.startswith("data.extra.") for key in flat)
    assert params.as_dict() == yaml.safe_load(extra(ENTRY, ENTRY.replace("name: a", "name: b")))
    assert json.loads(json.dumps(flat["data.extra"])) == flat["data.extra"], "MLflow logs it as JSON"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("images:", "imagse:", ["unknown key 'data.extra[1].imagse'", "did you mean 'data.extra[1].images'"]),
        ("weight:", "temperature:", ["unknown key 'data.extra[1].temperature'", "at 'loss.temperature'"]),
        ("weight:", "heat:", ["unknown key 'data.extra[1].heat'; known here are", "name, format, images"]),
        ("weight: 0.5, ", "", ["'data.extra[1].weight' is missing", "default_params.yaml"]),
        ("format: jde", "format: JDE2", ["'data.extra[1].format'", "jde, crowdhuman, coco, yolo"]),
        ("format: jde", "format: crowdhumn", ["did you mean 'crowdhuman'"]),
        ("weight: 0.5", "weight: 0", ["'data.extra[1].weight'", "above 0"]),
        ("weight: 0.5", "weight: half", ["'data.extra[1].weight'", "a number"]),
        ("images: /data/images", "images: ''", ["'data.extra[1].images'", "text"]),
        ("classes: [0, rider]", "classes: person", ["'data.extra[1].classes'", "a list like [a, b]"]),
        ("classes: [0, rider]", "classes: [no]", ["'data.extra[1].classes'", "a name or a whole number"]),
        ("classes: [0, rider]", "classes: [0.5]", ["'data.extra[1].classes'", "a name or a whole number"]),
        ("classes: [0, rider]", "classes: ['']", ["'data.extra[1].classes'", "a name or a whole number"]),
        ("name: b", "name: a/b", ["'data.extra[1].name'", "letters"]),
        ("name: b", "name: .b", ["'data.extra[1].name'", "letters"]),
        ("name: b", "name: A", ["'data.extra[1].name' is 'A'", "'data.extra[0]'"]),
        ("name: b,", "name: b, name: c,", ["'data.extra[1].name' is set twice"]),
    ],
)
def test_a_wrong_entry(old: str, new: str, words: list[str]) -> None:
    entry = ENTRY.replace("name: a", "name: b")
    assert old in entry
    sentence = message(extra(ENTRY, entry.replace(old, new)))
    assert all(word in sentence for word in words), sentence
    assert sentence.startswith(f"params.yaml:{line_of('extra') + 2}: ")


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (f"extra: {{{ENTRY}}}", ["'data.extra' should be a list of sections", "dash", "a section"]),
        ("extra: crowdhuman", ["'data.extra' should be a list of sections", "'crowdhuman'"]),
        ("extra:", ["'data.extra' should be a list of sections", "nothing"]),
        ("extra: [crowdhuman]", ["'data.extra[0]' should be a section"]),
        ("extra: [[]]", ["'data.extra[0]' should be a section"]),
    ],
)
def test_what_is_no_list_of_sections(new: str, words: list[str]) -> None:
    sentence = message(with_line("extra", new))
    assert all(word in sentence for word in words), sentence
    assert sentence.startswith(f"params.yaml:{line_of('extra')}: ")


def test_the_example_of_an_entry_is_one() -> None:
    """The file shows how an entry is written."""
    (example,) = [line.strip().removeprefix("# - ") for line in LINES if line.strip().startswith("# - {name:")]
    (entry,) = parse_params(with_line("extra", f"extra: [{example}]")).data.extra
    assert (entry.name, entry.format, entry.classes) == ("CrowdHuman", "crowdhuman", ("person",))


def test_a_missing_key() -> None:
    assert "'loss.temperature' is missing" in message(with_line("temperature", ""))


def test_a_missing_section() -> None:
    start = line_of("evaluate")
    assert "'evaluate' is missing" in message("\n".join(LINES[: start - 1]) + "\n")


def test_a_key_set_twice() -> None:
    assert "'loss.temperature' is set twice" in message(
        with_line("temperature", "temperature: 0.5\n  temperature: 0.1")
    )


def test_a_section_that_is_a_value() -> None:
    assert "'evaluate' should be a section" in message("\n".join(LINES[: line_of("evaluate") - 1]) + "\nevaluate: 3\n")


@pytest.mark.parametrize("text", ["a: [", "\tseed: 0", "a: b: c"])
def test_not_yaml(text: str) -> None:
    assert "not valid YAML" in message(text)


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n"])
def test_empty(text: str) -> None:
    assert "is empty" in message(text)


def test_a_list_instead_of_sections() -> None:
    assert "should be a section" in message("- 1\n- 2\n")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_params(tmp_path / "params.yaml")


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(b"\xff\xfe\x00seed")
    with pytest.raises(InputError, match="text file"):
        load_params(path)


DEEP = "[" * 5000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data__source", '"a\\0b"'),
        ("data__source", '"a\\uD800b"'),
        ("strip__boxes", '"boxes\\e[2J"'),
        ("model__weights", '"two\\nlines"'),
    ],
)
def test_text_that_is_no_path_is_refused(key: str, value: str) -> None:
    text = re.sub(rf"(?m)^(  {key.split('__')[1]}:).*$", lambda line: f"{line[1]} {value}", TEXT, count=1)
    said = message(text)
    assert f"'{key.replace('__', '.')}' should be text" in said
    assert said.isprintable()


@pytest.mark.parametrize("text", [DEEP, f"seed: {DEEP}", "seed: " + "{a: " * 5000])
def test_deep_yaml_is_one_sentence(text: str) -> None:
    assert "nested too deep" in message(text)


def test_a_number_of_thousands_of_digits_is_one_sentence() -> None:
    said = message(TEXT.replace("seed: 0", f"seed: {'9' * 5000}"))
    assert said.startswith("params.yaml:")
    assert len(said) < 500


SECRETS = [
    "https://me:s3cret@example.org/data",
    "https://s3cret@example.org/data",
    "https://example.org/data?token=s3cret",
    "https://example.org/data?token=$TOKEN&key=s3cret",
    "https://me:${PASSWORD}s3cret@example.org/data",
    "s3://me:s3cret@bucket/data",
    "no+such://me:s3/cret@s3cret@host/",
    "me:s3cret@host:/data",
]


@pytest.mark.parametrize("address", SECRETS)
@pytest.mark.parametrize("key", ["data__source", "data__archives", "strip__boxes", "track__detections"])
def test_a_password_in_an_address_is_refused_and_not_repeated(key: str, address: str) -> None:
    """dvc.lock would keep it."""
    said = message(with_values(**{key: address}))
    assert f"'{key.replace('__', '.')}' is an address with a user, a password or a query in it" in said
    assert "~/.netrc" in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/data",
        "https://example.org:8080/~me/data",
        "https://me:${PASSWORD}@example.org/data",
        "https://$TOKEN@example.org/data",
        "https://example.org/data?token=$TOKEN",
        "file:///folder/data",
        "films/me@home",
        "C:/films",
    ],
)
def test_addresses_without_a_password_are_let_be(address: str) -> None:
    assert parse_params(with_values(data__source=address)).data.source == address


@pytest.mark.parametrize("address", SECRETS)
def test_a_password_in_the_wrong_place_is_not_repeated(address: str) -> None:
    assert "s3cret" not in message(with_values(seed=address))
    assert "s3cret" not in message(with_values(model__neck=address))
