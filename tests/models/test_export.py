"""Our models in the original's files, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from dla34_recipe import dla34_shapes

from clmot.cli.main import run
from clmot.errors import InputError
from clmot.models.checkpoint import save_model
from clmot.models.export import export_pth
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.models.pretrained import create_detector
from clmot.params import ModelParams


def config(backbone: str, neck: str, **changes: Any) -> ModelConfig:
    values: dict[str, Any] = {
        "backbone": backbone,
        "neck": neck,
        "operator": "dcn",
        "dcn_implementation": "auto",
        "neck_channels": (),
        "head_channels": 256,
        "embedding_dim": 16,
    }
    return ModelConfig(**{**values, **changes})


def written(folder: Path, model: OneShotTracker) -> Path:
    folder.mkdir(exist_ok=True)
    save_model(folder, model, model.config)
    return folder


@pytest.mark.parametrize(
    ("backbone", "neck", "box_channels", "architecture", "readers"),
    [
        ("dla34", "dla", 2, "dla_34", {"CL-MOT": "", "FairMOT": " --ltrb ''"}),
        ("dla34", "dla", 4, "dla_34", {"FairMOT": ""}),
        ("resnet18", "deconv", 2, "resdcn_18", {"CL-MOT": "", "FairMOT": " --ltrb ''"}),
        ("resnet34", "fpn", 4, "resfpndcn_34", {"FairMOT": ""}),
        ("hrnet_w18", "concat", 4, "hrnet_18", {"FairMOT": ""}),
        ("hrnet_w18", "concat", 2, "hrnet_18", {"FairMOT": " --ltrb ''"}),
        ("hrnet_w18", "squeeze", 2, "hrnet_18", {"CL-MOT": ""}),
    ],
)
def test_there_and_back(
    tmp_path: Path, backbone: str, neck: str, box_channels: Any, architecture: str, readers: dict[str, str]
) -> None:
    """And for whom: what a tool's network does not have, it would leave random."""
    torch.manual_seed(0)
    model = OneShotTracker(config(backbone, neck, box_channels=box_channels)).eval()
    out = tmp_path / "theirs.pth"
    options = f"--arch {architecture} --head_conv 256 --reid_dim 16"
    assert export_pth(written(tmp_path / "ours", model), out) == {t: options + o for t, o in readers.items()}
    content = torch.load(out, weights_only=True)
    assert content.keys() == {"epoch", "state_dict"}
    first = "base.base_layer.0.weight" if neck == "dla" else "conv1.weight"
    assert first in content["state_dict"]
    params = ModelParams("head", str(out), backbone, neck, "dcn", "auto", (), 256, 16, 0, (64, 32))  # type: ignore[arg-type]
    back = create_detector(params).eval()
    images = torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        wanted, found = model(images), back(images)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[head], found[head]) for head in wanted)


def test_the_original_s_names_and_no_others(tmp_path: Path) -> None:
    """What only our losses use stays here; the history says for how long it was trained."""
    model = OneShotTracker(config("dla34", "dla", embedding_dim=512, projection_dim=8, identities=3))
    ours = written(tmp_path / "ours", model)
    (ours / "history.csv").write_text("epoch,loss\n1,2.5\n2,1.5\n")
    for name in ("a.pth", "b.pth"):
        export_pth(ours, tmp_path / name)
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()
    content = torch.load(tmp_path / "a.pth", weights_only=True)
    assert content["epoch"] == 2
    assert {name: tuple(tensor.shape) for name, tensor in content["state_dict"].items()} == dla34_shapes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"backbone": "test_resnet"},
            "the original has no test_resnet with a dla neck; it has dla34 with dla, ",
        ),
        ({"backbone": "resnet18"}, "the original has no resnet18 with a dla neck"),
        ({"operator": "conv"}, r"plain convolutions \('model\.operator: conv'\).*dla_34 has deformable"),
        ({"neck_channels": (8, 8, 8, 8)}, r"other channels \('model\.neck_channels: \[8, 8, 8, 8\]'\)"),
        (
            {"backbone": "hrnet_w18", "neck": "concat", "head_channels": 8},
            "8 hidden channels, those of the original's hrnet_18 always 256",
        ),
        (
            {"backbone": "hrnet_w18", "neck": "squeeze", "head_channels": 256, "box_channels": 4},
            "four distances and 'model.neck: squeeze' the network is neither's",
        ),
    ],
)
def test_what_the_original_has_not(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    values = {"backbone": "dla34", "neck": "dla", "head_channels": 8, "embedding_dim": 4, **changes}
    ours = written(tmp_path / "ours", OneShotTracker(config(**values)))
    with pytest.raises(InputError, match=message):
        export_pth(ours, tmp_path / "out.pth")
    assert not list(tmp_path.glob("*.pth*"))


def test_channels_that_are_the_published_ones_are_no_others(tmp_path: Path) -> None:
    model = OneShotTracker(config("resnet18", "deconv", neck_channels=(64, 128, 256, 512), head_channels=8))
    options = export_pth(written(tmp_path / "ours", model), tmp_path / "out.pth")
    assert options["CL-MOT"] == "--arch resdcn_18 --head_conv 8 --reid_dim 16"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = OneShotTracker(config("resnet18", "deconv", head_channels=8, embedding_dim=0))
    ours, out = written(tmp_path / "ours", model), tmp_path / "out.pth"
    run(["export", str(ours), str(out)])
    assert out.is_file()
    options = f"--load_model {out} --arch resdcn_18 --head_conv 8"
    assert capsys.readouterr().out == (
        f"{out} is written. With these options it is read by\n  CL-MOT: {options}\n  FairMOT: {options} --ltrb ''\n"
    )
    with pytest.raises(InputError, match=r"out\.onnx: should end in \.pth"):
        run(["export", str(ours), str(tmp_path / "out.onnx"), "--to", "pth"])
    with pytest.raises(InputError, match=r"out\.bin: should end in \.onnx, \.npz or \.pth"):
        run(["export", str(ours), str(tmp_path / "out.bin")])
    with pytest.raises(InputError, match="nowhere holds no model"):
        run(["export", str(tmp_path / "nowhere"), str(out)])
