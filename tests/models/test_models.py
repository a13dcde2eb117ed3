"""The network as a whole, its backbones, and its weights on disk."""

import contextlib
import dataclasses
import json
import os
import pickle
import random
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from dla34_recipe import assert_reference_outputs, dla34_recipe, dla34_shapes, reference_images
from safetensors.torch import load_file, save_file

from clmot.errors import InputError
from clmot.models.backbone import ImageConv2d, convolve_rows_as_channels, create_backbone
from clmot.models.checkpoint import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    load_model,
    load_weights,
    read_weights,
    save_model,
)
from clmot.models.decode import gather_cells
from clmot.models.necks.dla import Upsample
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.params import ModelParams

SMALL = ModelConfig("test_efficientnet", "dla", "conv", "auto", (8, 8, 12, 16), 8, 6)
ORIGINAL = ModelConfig("dla34", "dla", "dcn", "auto", (), 256, 512)


@pytest.fixture(scope="module")
def small() -> OneShotTracker:
    torch.manual_seed(0)
    return OneShotTracker(SMALL)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> OneShotTracker:
    """The original's architecture, filled through the public path from a .pth as the original writes it:
    a training checkpoint of parallel training, without the counters that older torch had not."""
    path = tmp_path_factory.mktemp("weights") / "theirs.pth"
    state = {f"module.{key}": value for key, value in dla34_recipe().items() if "num_batches" not in key}
    torch.save({"epoch": 30, "state_dict": state}, path)
    model = OneShotTracker(ORIGINAL)
    report = load_weights(model, read_weights(path), source=str(path))
    assert len(report.taken) == len(state)
    assert not report.skipped
    return model


# ---------------------------------------------------------------- the original's architecture


def test_reference_keys_and_shapes_of_dla34(original: OneShotTracker) -> None:
    assert {key: tuple(value.shape) for key, value in original.state_dict().items()} == dla34_shapes()
    assert len(dla34_shapes()) == 402
    assert sum(p.numel() for p in original.parameters()) == pytest.approx(19.93e6, rel=1e-3)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_reference_outputs_of_dla34(original: OneShotTracker, mode: str) -> None:
    original.train(mode == "train")
    with torch.no_grad():
        assert_reference_outputs(original(reference_images(mode)), mode)


# ---------------------------------------------------------------- shapes and heads


@pytest.mark.parametrize(
    ("backbone", "neck", "neck_channels"),
    [
        ("lcnet_050", "conv", (32, 48, 64, 96)),
        ("lcnet_050", "dcn", (8, 8, 8, 8)),
        ("resnet18", "conv", (16, 16, 16, 16)),
    ],
)
def test_shapes(backbone: str, neck: str, neck_channels: tuple[int, ...]) -> None:
    model = OneShotTracker(ModelConfig(backbone, "dla", neck, "auto", neck_channels, 8, 5))  # type: ignore[arg-type]
    outputs = model(torch.rand(2, 3, 64, 96))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "hm": (2, 1, 16, 24),
        "wh": (2, 2, 16, 24),
        "reg": (2, 2, 16, 24),
        "id": (2, 5, 16, 24),
    }


def test_every_used_parameter_gets_a_finite_gradient() -> None:
    torch.manual_seed(0)
    model = OneShotTracker(dataclasses.replace(SMALL, operator="dcn"))
    torch.stack([output.square().mean() for output in model(torch.rand(2, 3, 64, 64)).values()]).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_only_the_original_s_unused_tensors_are_not_trained(original: OneShotTracker) -> None:
    untrained = [name for name, parameter in original.named_parameters() if not parameter.requires_grad]
    assert untrained == [
        f"base.level{level}.project.{tensor}" for level in (3, 4) for tensor in ("0.weight", "1.weight", "1.bias")
    ]


def test_only_the_heads_asked_for(small: OneShotTracker) -> None:
    small.eval()
    images = torch.rand(2, 3, 32, 64)
    with torch.no_grad():
        everything = small(images)
        assert list(small(images, ("id",))) == ["id"]
        features = small.features(images)
        detection = small.read(features[:1], ("hm", "wh", "reg"))
    assert list(detection) == ["hm", "wh", "reg"]
    for name, value in detection.items():
        torch.testing.assert_close(value, everything[name][:1])


@pytest.mark.parametrize("box_channels", [2, 4])
def test_reading_a_few_cells_is_reading_the_map_there(box_channels: Literal[2, 4]) -> None:
    """Cells at edges and corners among them; values and gradients."""
    torch.manual_seed(0)
    model = OneShotTracker(dataclasses.replace(SMALL, box_channels=box_channels))
    features = torch.randn(2, 8, 5, 7, requires_grad=True)
    cells = torch.tensor([[0, 6, 34, 17], [28, 3, 3, 13]])  # one of them twice
    heads = ["wh", "reg", "id"]
    dense, sparse = model.read(features, heads), model.read_at(features, cells, heads)
    for name in heads:
        wanted = gather_cells(dense[name], cells)
        torch.testing.assert_close(sparse[name], wanted)
        weights = torch.randn_like(wanted)
        expected = torch.autograd.grad((wanted * weights).sum(), features, retain_graph=True)[0]
        found = torch.autograd.grad((sparse[name] * weights).sum(), features, retain_graph=True)[0]
        torch.testing.assert_close(found, expected)
    assert model.read_at(features, cells[:, :0], heads)["id"].shape == (2, 0, 6)


def test_a_detector_has_no_embedding() -> None:
    params = ModelParams(
        "head", "weights/none", "test_efficientnet", "dla", "conv", "auto", (8, 8, 12, 16), 8, 6, 0, (64, 32)
    )
    assert ModelConfig.from_params(params) == SMALL
    detector = OneShotTracker(ModelConfig.from_params(params, embedding=False))
    assert list(detector(torch.rand(2, 3, 32, 32))) == ["hm", "wh", "reg"]


def test_nobody_is_there_before_training(small: OneShotTracker) -> None:
    """The heatmap begins near the prior of 0.1 everywhere, boxes and offsets near zero."""
    small.eval()
    with torch.no_grad():
        outputs = small(torch.rand(1, 3, 64, 64))
    assert (outputs["hm"].sigmoid() - 0.1).abs().max() < 0.1
    assert small.get_parameter("hm.2.bias").item() == pytest.approx(-2.19)
    assert not small.get_parameter("wh.2.bias").any()


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_upsampling_begins_bilinear(factor: int) -> None:
    """A slope stays a slope away from the border."""
    up = Upsample(1, factor)
    slope = torch.arange(6.0).view(1, 1, 1, 6).expand(1, 1, 6, 6)
    with torch.no_grad():
        raised = up(slope)
    assert raised.shape == (1, 1, 6 * factor, 6 * factor)
    inner = slice(factor, 5 * factor)
    wanted = (torch.arange(6.0 * factor) + 0.5) / factor - 0.5
    torch.testing.assert_close(raised[0, 0, 3 * factor, inner], wanted[inner])


def test_same_seed_same_network() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(OneShotTracker(SMALL).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


# ---------------------------------------------------------------- backbones that cannot be used


def test_backbone_whose_maps_are_not_of_the_strides_it_states() -> None:
    """timm says 4, 8, 16, 32 of legacy_xception, whose first convolutions have no padding."""
    module, pyramid = create_backbone("legacy_xception")
    images = torch.zeros(1, 3, 64, 96)
    with (
        torch.no_grad(),
        pytest.raises(InputError, match="of an image of 96x64 should be 24x16, 12x8, 6x4, 3x2"),
    ):
        pyramid.select(module.eval()(images), (64, 96))


def test_unknown_backbone_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no model 'resnet_18'.*resnet18"):
        create_backbone("resnet_18")


def test_backbone_with_other_strides_lists_them() -> None:
    with pytest.raises(InputError, match="features at strides 16, 16, 16;"):
        create_backbone("test_vit3")


def test_backbone_for_one_image_size_is_refused() -> None:
    with pytest.raises(InputError, match="only takes images of 224x224"):
        create_backbone("swin_tiny_patch4_window7_224")


# ---------------------------------------------------------------- weights on disk


def test_saved_twice_is_the_same_bytes_and_loads_back(tmp_path: Path, small: OneShotTracker) -> None:
    copy = OneShotTracker(SMALL)
    copy.load_state_dict(small.state_dict())
    copy.to(memory_format=torch.channels_last)  # a matter of speed, not of content
    for name, model in (("a", small), ("b", copy)):
        (tmp_path / name).mkdir()
        save_model(tmp_path / name, model, model.config)
    for file in (WEIGHTS_FILE, CONFIG_FILE):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [CONFIG_FILE, WEIGHTS_FILE]
    loaded = load_model(tmp_path / "a")
    assert loaded.config == SMALL
    assert not loaded.training
    own = small.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in loaded.state_dict().items())


@pytest.fixture
def saved(tmp_path: Path, small: OneShotTracker) -> Path:
    save_model(tmp_path, small, small.config)
    return tmp_path


def test_config_of_another_network_is_refused(saved: Path) -> None:
    config = json.loads((saved / CONFIG_FILE).read_text())
    (saved / CONFIG_FILE).write_text(json.dumps({**config, "head_channels": 9}))
    with pytest.raises(InputError, match=r"model\.safetensors: does not hold the network.*hm\.0\.bias"):
        load_model(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "lcnet_1"}, "no model 'lcnet_1'"),
        ({"neck": "fpm"}, "'neck' cannot be \"fpm\""),
        ({"head_channels": "many"}, "'head_channels' cannot be \"many\""),
        ({"neck_channels": [8, 8]}, "empty or four"),
        ({"neck_chanels": []}, "unknown: neck_chanels"),
    ],
)
def test_wrong_config_is_one_sentence(saved: Path, change: dict[str, object], message: str) -> None:
    config = json.loads((saved / CONFIG_FILE).read_text())
    (saved / CONFIG_FILE).write_text(json.dumps({**config, **change}))
    with pytest.raises(InputError, match=message):
        load_model(saved)


@pytest.mark.parametrize(
    ("file", "message"),
    [(CONFIG_FILE, "cannot be read as json"), (WEIGHTS_FILE, "damaged, or no weight file")],
)
def test_truncated_file_is_one_sentence(saved: Path, file: str, message: str) -> None:
    whole = (saved / file).read_bytes()
    (saved / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=message):
        load_model(saved)


@pytest.mark.parametrize("file", [CONFIG_FILE, WEIGHTS_FILE])
def test_absent_file_is_one_sentence(saved: Path, file: str) -> None:
    (saved / file).unlink()
    with pytest.raises(InputError, match=f"{file}: no such file"):
        load_model(saved)


def test_loading_says_what_was_taken(small: OneShotTracker, capsys: pytest.CaptureFixture[str]) -> None:
    detector = OneShotTracker(dataclasses.replace(SMALL, embedding_dim=0))
    state = {**detector.state_dict(), "fc.weight": torch.zeros(3)}
    tracker = OneShotTracker(SMALL)
    report = load_weights(tracker, state, lambda name: not name.startswith("id."), "detector")
    assert report.skipped == ("fc.weight",)
    assert report.missing == ("id.0.bias", "id.0.weight", "id.2.bias", "id.2.weight")
    assert len(report.taken) == len(detector.state_dict())
    assert torch.equal(tracker.get_parameter("hm.0.weight"), detector.get_parameter("hm.0.weight"))
    line = capsys.readouterr().err
    assert line.startswith(f"detector: {len(report.taken)} tensors taken, 1 skipped (fc.weight), 4 missing (id.0.bias")


def test_missing_tensor_is_named_and_nothing_is_changed(small: OneShotTracker) -> None:
    model = OneShotTracker(SMALL)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = dict(small.state_dict())
    del state["hm.2.bias"]
    state["wh.2.weight"] = torch.zeros(4, 8, 1, 1)
    with pytest.raises(InputError, match=r"their\.pth: 2 expected tensors.*hm\.2\.bias, wh\.2\.weight \(\[4"):
        load_weights(model, state, source="their.pth")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    report = load_weights(model, state, expected=("base.", "dla_up.", "ida_up."))
    assert report.skipped == ("wh.2.weight",)
    assert report.missing == ("hm.2.bias", "wh.2.weight")


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo owned",)


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_pickle_with_code_is_refused(tmp_path: Path, form: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gift.pth"
    content = {"state_dict": {"hm.0.bias": torch.zeros(1)}, "more": Malicious()}
    if form == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=r"gift\.pth: refused"):
        read_weights(path)
    assert "owned" not in capfd.readouterr().out


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04 cut"])
def test_what_is_no_weight_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.pth: (damaged|refused|is a web page)"):
        read_weights(path)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_damaged_pth_is_a_sentence_wherever_it_is_damaged(tmp_path: Path, legacy: bool) -> None:
    """CenterNet's files have the older of torch's formats, a row of pickles, which can break in many ways."""
    path = tmp_path / "x.pth"
    torch.save(
        {"state_dict": {f"layer{i}.weight": torch.zeros(3) for i in range(8)}},
        path,
        _use_new_zipfile_serialization=not legacy,
    )
    whole = path.read_bytes()
    generator = random.Random(0)
    for _ in range(150):
        broken = bytearray(whole)
        for _ in range(3):
            broken[generator.randrange(len(whole))] = generator.randrange(256)
        for content in (bytes(broken), whole[: generator.randrange(len(whole))]):
            path.write_bytes(content)
            with contextlib.suppress(InputError):  # a change of a weight is none that could be seen
                read_weights(path)


def test_weights_without_names_are_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    with pytest.raises(InputError, match="no named tensors"):
        read_weights(tmp_path / "list.pth")


def test_safetensors_of_others_are_read(tmp_path: Path) -> None:
    save_file({"module.a": torch.ones(2)}, tmp_path / "x.safetensors")
    assert load_file(tmp_path / "x.safetensors").keys() == {"module.a"}
    assert read_weights(tmp_path / "x.safetensors").keys() == {"a"}


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "_orig_mod.module."])
@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_prefixes_and_endings_are_seen_through(prefix: str, name: str, tmp_path: Path) -> None:
    """A pickle under the ending of the other format is read as what it is."""
    torch.save({"state_dict": {f"{prefix}a": torch.ones(2)}}, tmp_path / name)
    assert read_weights(tmp_path / name).keys() == {"a"}


def test_programs_are_named(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"x\.pt: is a TorchScript program") as refused:
        read_weights(tmp_path / "x.pt")
    assert "weights_only" not in str(refused.value)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"\n <HTML lang=en>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        (b"\x1f\x8b\x08\x00" + bytes(60), "a compressed file"),
        (b"\x08\x07\x12\x07pytorch\x1a\x05", "ONNX"),
        (b"\x89HDF\r\n", "Keras"),
        (b'{"error": "not found"}', "JSON"),
        (b"\x89PNG\r\n\x1a\n", "no weight file"),
        (b"\x1c\x00\x00\x00TFL3", "no weight file"),
    ],
)
def test_what_is_no_weight_file_is_called_what_it_is(start: bytes, words: str, tmp_path: Path) -> None:
    for name in ("weights.pth", "weights.safetensors"):
        (tmp_path / name).write_bytes(start)
        with pytest.raises(InputError, match=words):
            read_weights(tmp_path / name)


def test_weights_of_another_framework(tmp_path: Path) -> None:
    """PaddlePaddle pickles NumPy's arrays, which torch refuses as code."""
    (tmp_path / "a.pdparams").write_bytes(pickle.dumps({"conv.weight": np.ones((2, 2), np.float32)}, protocol=2))
    with pytest.raises(InputError, match="PaddlePaddle's, whose weights PyTorch cannot read"):
        read_weights(tmp_path / "a.pdparams")


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model", "net", "ema"])
def test_wrappers_of_checkpoints(wrapper: str, tmp_path: Path) -> None:
    torch.save({"epoch": 3, wrapper: {"module.a": torch.zeros(2)}}, tmp_path / "a.pth")
    assert read_weights(tmp_path / "a.pth").keys() == {"a"}


def test_keys_that_are_there_instead_are_named(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "weights_of_ours": {"a": 1}}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="no named tensors, but epoch, weights_of_ours"):
        read_weights(tmp_path / "a.pth")


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(3), "b": torch.tensor([1.0, float("nan")])}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"not finite \(in b\)"):
        read_weights(tmp_path / "a.pth")


def test_safetensors_under_another_ending(tmp_path: Path) -> None:
    save_file({"a": torch.ones(3)}, tmp_path / "x.safetensors")
    (tmp_path / "x.safetensors").rename(tmp_path / "x.pth")
    assert read_weights(tmp_path / "x.pth").keys() == {"a"}


# ---------------------------------------------------------------- the first convolution


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("side", "stride", "padding"), [((7, 7), (1, 1), (3, 3)), ((3, 5), (2, 1), (1, 0))])
def test_rows_as_channels_are_the_same_convolution(
    side: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], layout: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 12, 17, generator=generator).to(memory_format=layout)
    weight = torch.randn(4, 3, *side, generator=generator, requires_grad=True)
    bias = torch.randn(4, generator=generator, requires_grad=True)
    expected = F.conv2d(images, weight, bias, stride, padding)
    output = convolve_rows_as_channels(images, weight, bias, stride, padding, torch.float32)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    grad = torch.randn(expected.shape, generator=generator)
    gradients = [torch.autograd.grad(result, (weight, bias), grad) for result in (output, expected)]
    for gradient, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["dla34", "resnet18"])
def test_first_convolution_alone_is_one_of_images(name: str) -> None:
    module, _ = create_backbone(name)
    layers = [layer for layer in module.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert [isinstance(layer, ImageConv2d) for layer in layers] == [True] + [False] * (len(layers) - 1)
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(layers[0](images), torch.nn.Conv2d.forward(layers[0], images))
