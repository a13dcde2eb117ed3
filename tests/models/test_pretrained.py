"""Other people's weights: recognised by their names, translated, and never half taken in silence."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
import yaml
from dla34_recipe import assert_reference_outputs, dla34_recipe, reference_images
from safetensors.torch import save_file
from tiny_archive import sequence_files, write_zip
from torch import Tensor

from clmot.data.frames import Batch
from clmot.errors import InputError
from clmot.inference.fast_network import EXAMPLE_SIDE
from clmot.models.checkpoint import CONFIG_FILE, load_model, save_model
from clmot.models.decode import decode
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.models.pretrained import RANDOM, create_detector, create_tracker
from clmot.params import ModelParams, load_params
from clmot.reporting import mlflow_run
from clmot.training.criteria import DetectorCriterion
from stages import download, index, pretrain, scenes, strip, track, train

ROOT = Path(__file__).parents[2]
PARAMS = load_params(ROOT / "params.yaml")
IMAGES = torch.rand(2, 3, 32, 64, generator=torch.Generator().manual_seed(5))


def model_params(weights: str | Path = RANDOM, **changes: Any) -> ModelParams:
    """A small network, with changes."""
    small: dict[str, Any] = {
        "embedder": "head",
        "weights": str(weights),
        "backbone": "test_resnet",
        "neck": "dla",
        "operator": "conv",
        "dcn_implementation": "auto",
        "neck_channels": (8, 8, 8, 8),
        "head_channels": 8,
        "embedding_dim": 6,
        "projection_dim": 0,
        "input_size": (64, 32),
    }
    return ModelParams(**{**small, **changes})


def network(seed: int = 0, box_channels: Any = 2, **changes: Any) -> OneShotTracker:
    """A tracker of `model_params` with statistics and biases that are not all zeros and ones."""
    torch.manual_seed(seed)
    model = OneShotTracker(ModelConfig.from_params(model_params(**changes), box_channels=box_channels)).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith(("running_mean", "bias")):
                tensor.normal_(0, 0.1)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
    return model


def outputs(model: OneShotTracker) -> dict[str, Tensor]:
    model.eval()
    with torch.no_grad():
        return model(IMAGES)


def saved(path: Path, state: dict[str, Tensor], **more: Any) -> Path:
    torch.save({"epoch": 30, "state_dict": state, **more}, path)
    return path


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_none_is_random() -> None:
    torch.manual_seed(3)
    model = create_detector(model_params())
    torch.manual_seed(3)
    plain = OneShotTracker(ModelConfig.from_params(model_params(), embedding=False))
    assert same(dict(model.state_dict()), dict(plain.state_dict()))


# ---------------------------------------------------------------- trackers and detectors of the original


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as the original writes it: parallel training's names, CenterNet's unused classifier, an optimizer."""
    state = {f"module.{name}": tensor for name, tensor in dla34_recipe().items()}
    state["module.base.fc.weight"] = torch.zeros(1000, 512, 1, 1)
    path = tmp_path_factory.mktemp("weights") / "all_dla34.pth"
    return saved(path, state, optimizer={"state": {}, "param_groups": [{"lr": 1e-5}]})


def dla34(weights: Path, **changes: Any) -> ModelParams:
    original: dict[str, Any] = {
        "backbone": "dla34",
        "operator": "dcn",
        "neck_channels": (),
        "head_channels": 256,
        "embedding_dim": 512,
    }
    return model_params(weights, **{**original, **changes})


def test_reference_outputs_of_the_original_s_file(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = create_detector(dla34(theirs)).eval()
    with torch.no_grad():
        assert_reference_outputs(model(reference_images("eval")), "eval")
    said = capsys.readouterr().err.splitlines()
    assert said[0] == (
        f"{theirs}: recognised a backbone, a dla neck and heads hm, wh, reg, id; its embedding has 512 numbers "
        "(if others trained it, it may have seen identities)"
    )
    assert said[1] == f"{theirs}: 402 tensors taken, 1 skipped (base.fc.weight), 0 missing"


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    state = dla34_recipe()
    del state["ida_up.node_2.conv.conv_offset_mask.bias"]
    path = saved(tmp_path / "cut.pth", state)
    with pytest.raises(InputError, match=r"cut\.pth: 1 expected .*: ida_up\.node_2\.conv\.conv_offset_mask\.bias;"):
        create_detector(dla34(path))


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo owned",)


def test_code_in_a_file_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path / "gift.pth", dict(network().state_dict()), extra=Malicious())
    with pytest.raises(InputError, match=r"gift\.pth: refused"):
        create_detector(model_params(path))
    assert "owned" not in capfd.readouterr().out


def test_of_coco_s_classes_people_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tracker = network()
    state = {name: tensor for name, tensor in tracker.state_dict().items() if not name.startswith("id.")}
    others = torch.randn(79, 8, 1, 1), torch.randn(79)
    coco = {
        **state,
        "hm.2.weight": torch.cat([state["hm.2.weight"], others[0]]),
        "hm.2.bias": torch.cat([state["hm.2.bias"], others[1]]),
    }
    detector = create_detector(model_params(saved(tmp_path / "ctdet_coco.pth", coco)))
    assert detector.config.embedding_dim == 0
    wanted = outputs(tracker)
    del wanted["id"]
    assert same(outputs(detector), wanted)
    assert "of the 80 classes of COCO in its heatmap, class 0 (person) is taken" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("head", "channels", "message"),
    [
        ("hm", 20, "heatmap has 20 classes; .* COCO's 80"),
        ("wh", 160, "box head has 160 channels; expected 2"),
    ],
)
def test_heads_of_no_detector_of_people(tmp_path: Path, head: str, channels: int, message: str) -> None:
    state = dict(network().state_dict())
    state |= {f"{head}.2.weight": torch.zeros(channels, 8, 1, 1), f"{head}.2.bias": torch.zeros(channels)}
    with pytest.raises(InputError, match=message):
        create_detector(model_params(saved(tmp_path / "x.pth", state)))


def test_four_sided_boxes_load_decode_and_learn(tmp_path: Path) -> None:
    """FairMOT since autumn 2020. Its embedding comes along, whatever its length, and detection leaves it alone."""
    theirs = network(box_channels=4, embedding_dim=9)
    path = saved(tmp_path / "fairmot.pth", dict(theirs.state_dict()))
    detector = create_detector(model_params(path))
    assert (detector.config.box_channels, detector.config.embedding_dim) == (4, 9)
    maps = outputs(detector)
    assert same(maps, outputs(theirs))

    peaks = decode(maps["hm"], maps["wh"], maps["reg"], k=1)
    cell = int(peaks.cells[0, 0])
    y, x = divmod(cell, 16)
    dx, dy = maps["reg"][0, :, y, x]
    left, top, right, bottom = maps["wh"][0, :, y, x]
    wanted = torch.stack([x + dx - left, y + dy - top, x + dx + right, y + dy + bottom])
    torch.testing.assert_close(peaks.boxes[0, 0], wanted)

    before = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    detector.train()
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-3, weight_decay=0.1)
    boxes = torch.tensor([[[8.0, 4, 20, 28]], [[30, 2, 44, 30]]])
    batch = Batch(
        images=(255 * IMAGES).to(torch.uint8),
        boxes=boxes,
        valid=torch.ones(2, 1, dtype=torch.bool),
        forgiven=torch.zeros(2, 0, 4),
        content=torch.tensor([[0.0, 0, 64, 32]]).repeat(2, 1),
        identities=torch.full((2, 1), -1),
        indices=(0, 1),
    )
    criterion = DetectorCriterion(PARAMS.views, PARAMS.loss.detection)
    losses = criterion(detector, batch, torch.Generator().manual_seed(0))
    losses["loss"].backward()
    optimizer.step()
    moved = {name for name, tensor in detector.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {"wh.2.weight", "wh.2.bias", "hm.2.bias"} <= moved
    assert not any(name.startswith("id.") for name in moved)


@pytest.mark.parametrize(
    ("backbone", "neck"),
    [
        ("resnet18", "deconv"),
        ("resnet18", "fpn"),
        ("hrnet_w18_small", "concat"),
        ("hrnet_w18_small", "squeeze"),
    ],
)
def test_resnets_and_hrnets_stand_at_the_top_in_others_files(tmp_path: Path, backbone: str, neck: str) -> None:
    changes: dict[str, Any] = {"backbone": backbone, "neck": neck, "neck_channels": (), "operator": "dcn"}
    theirs = network(**changes)
    state = {name.removeprefix("base."): tensor for name, tensor in theirs.state_dict().items()}
    assert "conv1.weight" in state
    detector = create_detector(model_params(saved(tmp_path / "x.pth", state), **changes))
    assert same(outputs(detector), outputs(theirs))


def test_a_head_that_is_no_convolution_is_no_head_of_ours(tmp_path: Path) -> None:
    state = dict(network().state_dict())
    for name in ("hm.0.weight", "hm.2.weight", "wh.2.weight", "id.2.weight"):
        state[name] = torch.tensor(1.0)
    with pytest.raises(InputError, match=r"hm\.0\.weight"):
        create_detector(model_params(saved(tmp_path / "x.pth", state)))


# ---------------------------------------------------------------- backbones


def test_an_hrnet_that_squeezes_is_told_from_one_that_does_not(tmp_path: Path) -> None:
    """CL-MOT's and newer FairMOT's HRNets are of one name; the file says which it is."""
    theirs = network(backbone="hrnet_w18_small", neck="squeeze", neck_channels=())
    state = {name.removeprefix("base."): tensor for name, tensor in theirs.state_dict().items()}
    params = model_params(saved(tmp_path / "x.pth", state), backbone="hrnet_w18_small", neck="concat", neck_channels=())
    with pytest.raises(InputError, match=r"is a network of 'model\.neck: squeeze', where params\.yaml has concat"):
        create_detector(params)


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "mobilenetv4_conv_small_050"])
def test_timm_s_own_files(tmp_path: Path, name: str) -> None:
    """As a pyramid of features some models have other names than as a classifier; outputs tell that all arrived."""
    torch.manual_seed(0)
    plain = timm.create_model(name).eval()
    save_file(plain.state_dict(), tmp_path / "model.safetensors")
    model = create_detector(model_params(tmp_path / "model.safetensors", backbone=name)).eval()
    with torch.no_grad():
        wanted = plain.forward_intermediates(IMAGES, intermediates_only=True)
        found = model.base(IMAGES)
    torch.testing.assert_close(found[-1], wanted[-1])


def test_timm_s_own_files_of_a_backbone_that_is_wrapped(tmp_path: Path) -> None:
    """Where timm makes a pyramid by hooks, all its tensors stand below `body.`."""
    plain = timm.create_model("legacy_xception")
    save_file(plain.state_dict(), tmp_path / "model.safetensors")
    model = create_detector(model_params(tmp_path / "model.safetensors", backbone="legacy_xception"))
    assert "base.body.conv1.weight" in model.state_dict()
    trunk = {name.removeprefix("base.body."): t for name, t in model.state_dict().items() if "body." in name}
    assert all(torch.equal(tensor, plain.state_dict()[name]) for name, tensor in trunk.items())


def test_torchvision_s_mobilenet(tmp_path: Path) -> None:
    """Its names are not timm's, but its tensors are, in the same order."""
    theirs = torchvision.models.mobilenet_v2().state_dict()
    file = tmp_path / "mobilenet_v2.pth"
    torch.save(theirs, file)
    model = create_detector(model_params(file, backbone="mobilenetv2_100"))
    taken = torch.stack([tensor.double().sum() for name, tensor in theirs.items() if "classifier" not in name])
    own = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("base.")}
    found = torch.stack([tensor.double().sum() for tensor in own.values()])
    assert torch.equal(found, taken[: len(found)])


def test_torchvision_s_resnet(tmp_path: Path) -> None:
    """The trunk of CenterNet's and FairMOT's ResNets is torchvision's; ours, by timm, computes the same."""
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18().eval()
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    model = create_detector(model_params(tmp_path / "resnet18.pth", backbone="resnet18", neck="deconv")).eval()
    without_classifier = torch.nn.Sequential(*list(theirs.children())[:-2])
    with torch.no_grad():
        torch.testing.assert_close(model.base(IMAGES)[-1], without_classifier(IMAGES))


def test_imagenet_s_dla34(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its classifier is left out, its projections that no one uses are not; neck and heads stay random."""
    recipe = dla34_recipe()
    state = {name.removeprefix("base."): t for name, t in recipe.items() if name.startswith("base.")}
    state |= {"fc.weight": torch.zeros(1000, 512, 1, 1), "fc.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "dla34-ba72cf86.pth")
    model = create_detector(dla34(tmp_path / "dla34-ba72cf86.pth"))
    assert model.config.embedding_dim == 0
    own = model.state_dict()
    assert all(torch.equal(own[f"base.{name}"], tensor) for name, tensor in state.items() if "fc." not in name)
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith("recognised a backbone without heads")
    assert " 2 skipped (base.fc.bias, base.fc.weight), " in said[1]


def test_a_deeper_backbone_is_refused(tmp_path: Path) -> None:
    """It has every tensor that the shallower one asks for, of the same shape."""
    torch.save(timm.create_model("resnet34").state_dict(), tmp_path / "r34.pth")
    with pytest.raises(InputError, match=r"r34\.pth: holds 96 tensors that resnet18 does not have .*model\.backbone"):
        create_detector(model_params(tmp_path / "r34.pth", backbone="resnet18"))


def test_another_backbone_is_refused(tmp_path: Path) -> None:
    torch.save(timm.create_model("convnext_atto").state_dict(), tmp_path / "c.pth")
    with pytest.raises(InputError, match=r"c\.pth: holds no tensor of resnet18 \(its first is 'head\.fc\.bias'\)"):
        create_detector(model_params(tmp_path / "c.pth", backbone="resnet18"))


# ---------------------------------------------------------------- ours


def test_our_folder_and_our_file(tmp_path: Path) -> None:
    tracker = network(projection_dim=3)
    save_model(tmp_path, tracker, tracker.config)
    for weights in (tmp_path, tmp_path / "model.safetensors"):
        detector = create_detector(model_params(weights))
        assert same(outputs(detector), outputs(tracker))
        assert detector.config.projection_dim == 0


@pytest.mark.parametrize("form", ["folder", "file"])
def test_another_network_is_told_by_its_params(tmp_path: Path, form: str) -> None:
    tracker = network()
    save_model(tmp_path, tracker, tracker.config)
    weights = tmp_path if form == "folder" else tmp_path / "model.safetensors"
    message = (
        r"is a network of 'model\.neck: dla', 'model\.operator: conv', 'model\.head_channels: 8', where params\.yaml "
        r"has fpn, dcn, 16; set these"
    )
    with pytest.raises(InputError, match=message):
        create_detector(model_params(weights, neck="fpn", operator="dcn", head_channels=16))


def test_another_backbone_and_neck_width_of_our_folder(tmp_path: Path) -> None:
    tracker = network()
    save_model(tmp_path, tracker, tracker.config)
    message = r"'model\.backbone: test_resnet', 'model\.neck_channels: \[8, 8, 8, 8\]', where .* has resnet18, \[\];"
    with pytest.raises(InputError, match=message):
        create_detector(model_params(tmp_path, backbone="resnet18", neck_channels=()))


@pytest.mark.parametrize("neck", ["dla", "deconv", "fpn", "squeeze"])
def test_a_neck_without_its_lateral_layer_is_refused(tmp_path: Path, neck: str) -> None:
    """One that stays random would spoil what the others learnt."""
    state = dict(network(neck=neck).state_dict())
    lateral = sorted(name for name in state if name.startswith("lateral."))
    assert lateral
    path = saved(tmp_path / "cut.pth", {name: t for name, t in state.items() if name not in lateral})
    with pytest.raises(InputError, match=rf"cut\.pth: \d+ expected .*: {re.escape(lateral[0])}, "):
        create_detector(model_params(path, neck=neck))


@pytest.mark.parametrize("name", ["absent.pth", "absent"])
def test_no_such_weights(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: no such file; expected weights"):
        create_detector(model_params(tmp_path / name))


# ---------------------------------------------------------------- the embedding on its way to the tracker


def tracker_config(embedding_dim: int) -> ModelConfig:
    return ModelConfig.from_params(model_params(embedding_dim=embedding_dim))


def test_an_embedding_of_the_right_length_is_taken() -> None:
    detector = network()
    assert same(outputs(create_tracker(detector, tracker_config(6), "models/detector")), outputs(detector))


def test_an_embedding_of_another_length_begins_at_random(capsys: pytest.CaptureFixture[str]) -> None:
    """All of it: half an old head and half a new one would be neither."""
    detector = network()
    tracker = create_tracker(detector, tracker_config(7), "models/detector")
    assert not torch.equal(tracker.get_parameter("id.0.weight"), detector.get_parameter("id.0.weight"))
    assert torch.equal(tracker.get_parameter("hm.0.weight"), detector.get_parameter("hm.0.weight"))
    assert "models/detector: its embedding of 6 numbers is left out, because" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "tensor"),
    [
        ({"head_channels": 16}, r"hm\.0\.bias \(\[16\] instead of \[8\]\)"),
        ({"neck_channels": (16, 8, 8, 8)}, r"dla_up\.ida_2\."),
        ({"neck": "fpn"}, r"dla_up\.ida_0\."),
        ({"backbone": "test_byobnet"}, r"base\."),
        ({"box_channels": 4}, r"wh\.2\.bias \(\[4\] instead of \[2\]\)"),
    ],
    ids=["head_channels", "neck_channels", "neck", "backbone", "box_channels"],
)
def test_a_detector_of_another_network_is_refused(changes: dict[str, Any], tensor: str) -> None:
    """The tracker would begin with a part of it at random, and no one would know."""
    message = rf"^models/detector: \d+ expected tensors are absent or of another shape: .*{tensor}"
    with pytest.raises(InputError, match=message):
        create_tracker(network(**changes), tracker_config(6), "models/detector")


def test_an_embedding_head_of_other_layers_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = dict(network().state_dict())
    state["id.0.weight"] = torch.zeros(16, 8, 3, 3)
    detector = create_detector(model_params(saved(tmp_path / "x.pth", state)))
    assert detector.config.embedding_dim == 0
    assert "the head of its embedding has other layers than ours and is left out" in capsys.readouterr().err


# ---------------------------------------------------------------- the stages


class Project:
    """A folder in which the stages run in this process, at the smallest size."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.values: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
        self.values["data"] |= {"source": str(folder), "benchmarks": ["MOT17"], "split": "half"}
        self.values["hardware"] |= {"device": "cpu", "workers": 0, "threads": 1}
        self.values["model"]["input_size"] = [64, 32]
        for training in ("pretrain", "train"):
            self.values[training] |= {"epochs": 0, "batch_size": 2}
        write_zip(folder / "MOT17.zip", sequence_files("MOT17/train/MOT17-02-SDP", 8))
        monkeypatch.chdir(folder)
        monkeypatch.delenv("DVC_ROOT", raising=False)

    def run(self, *stages: Any, **model: Any) -> None:
        self.values["model"] |= {k: list(v) if isinstance(v, tuple) else v for k, v in model.items()}
        Path("params.yaml").write_text(yaml.safe_dump(self.values))
        for stage in stages:
            name = stage.__name__.split(".")[-1]
            arguments = ["MOT17"] if name in ("download", "strip", "track") else []
            self.monkeypatch.setattr("sys.argv", [name, *arguments])
            stage.main()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for stage in (pretrain, train):
        monkeypatch.setattr(stage, "training_run", lambda *_, **__: contextlib.nullcontext())
    found = Project(tmp_path, monkeypatch)
    found.run(scenes, download, strip, index)
    return found


def test_tracking_with_somebody_s_tracker_as_it_is(project: Project, theirs: Path) -> None:
    """No epoch anywhere: the weights that track are the file's, and the histories are there, without a row."""
    params = dataclasses.asdict(dla34(theirs, input_size=(64, 32)))
    project.run(pretrain, train, track, **params)
    with torch.no_grad():
        assert_reference_outputs(load_model("models/tracker")(reference_images("eval")), "eval")
    assert json.loads(Path("models/detector", CONFIG_FILE).read_text())["embedding_dim"] == 512
    for stage, losses in (("detector", 3), ("tracker", 6)):
        lines = Path("models", stage, "history.csv").read_text().splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("epoch,loss,heatmap,")
        assert lines[0].endswith(",learning_rate")
        assert len(lines[0].split(",")) == losses + 3
        assert mlflow_run._read_history(Path("models", stage, "history.csv")) == {}
    assert [path.name for path in Path("tracks/MOT17").iterdir()] == ["MOT17-02.txt"]


def test_an_embedding_that_nobody_trained_is_no_tracker(project: Project) -> None:
    small = {key: value for key, value in dataclasses.asdict(model_params()).items() if key != "input_size"}
    project.run(pretrain, **small)
    with pytest.raises(InputError, match=r"'train\.epochs: 0' trains no embedding of 6 numbers.*bring no embedding"):
        project.run(train, **small)
    assert not Path("models/tracker").exists()
    weights = saved(Path("theirs.pth"), dict(network().state_dict()))
    project.run(pretrain, **{**small, "weights": str(weights)})
    with pytest.raises(
        InputError,
        match=r"of 7 numbers.*an embedding of 6 numbers: set 'model\.embedding_dim: 6'",
    ):
        project.run(train, embedding_dim=7)
    project.run(train, embedding_dim=6)
    assert same(outputs(load_model("models/tracker")), outputs(network()))


def test_training_begins_with_the_weights(project: Project) -> None:
    """One epoch from a file, and other weights give another detector."""
    small = {key: value for key, value in dataclasses.asdict(model_params()).items() if key != "input_size"}
    project.values["pretrain"]["epochs"] = 1
    biases = []
    for seed in (0, 1):
        path = saved(Path("theirs.pth"), dict(network(seed).state_dict()))
        project.run(pretrain, **{**small, "weights": str(path)})
        detector = load_model("models/detector")
        biases.append(detector.get_parameter("hm.0.bias"))
        assert torch.equal(detector.get_parameter("id.2.bias"), network(seed).get_parameter("id.2.bias"))
        assert len(Path("models/detector/history.csv").read_text().splitlines()) == 2
        assert not Path(".checkpoints").exists()
    assert not torch.equal(*biases)


def test_every_stage_sees_frames_of_the_size_that_is_asked_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original's size options had no effect."""
    seen: list[tuple[int, ...]] = []
    real = OneShotTracker.features

    def features(self: OneShotTracker, images: Tensor) -> Tensor:
        seen.append((int(images.shape[-2]), int(images.shape[-1])))
        return real(self, images)

    monkeypatch.setattr(OneShotTracker, "features", features)
    small = dataclasses.asdict(model_params(input_size=(96, 32)))
    for training in ("pretrain", "train"):
        project.values[training]["epochs"] = 1
    for stage in (pretrain, train, track):
        seen.clear()
        project.run(stage, **small)
        # Before it tracks, a network's layers are looked at with an image of another size.
        assert set(seen) - {(EXAMPLE_SIDE, EXAMPLE_SIDE)} == {(32, 96)}, stage.__name__
