"""Our networks as graphs with the pre-processing inside: what an ONNX file computes.

Programs that run such a file need not know in which colours, range or normalisation the network learnt.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clmot.cut_boxes import cut_boxes
from clmot.images import STRIDE
from clmot.models.crop_encoder import CropEncoder
from clmot.models.dcn import DeformConv2d
from clmot.models.decode import boxes_at, gather_cells
from clmot.models.network import OneShotTracker

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of RGB in 0..1: what BoxMOT takes off crops before any model of its own sees them."""


class FrameAndBoxes(nn.Module):
    """A frame and boxes in it -> embeddings: boxes are cut and resized as training does."""

    inputs = ("image", "boxes")
    outputs = ("embeddings",)
    dynamic: ClassVar[dict[str, dict[int, str]]] = {
        "image": {0: "height", 1: "width"},
        "boxes": {0: "boxes"},
        "embeddings": {0: "boxes"},
    }

    def __init__(self, encoder: CropEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor, boxes: Tensor) -> Tensor:
        """Image (H, W, 3) uint8 BGR, boxes (N, 4) float32 x1 y1 x2 y2 in its pixels -> (N, D) of unit length."""
        pixels = image[..., [2, 1, 0]].permute(2, 0, 1).float()
        return F.normalize(self.encoder(cut_boxes(pixels, boxes, self.encoder.config.input_size) / 255))

    def examples(self, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Inputs with `count` boxes."""
        image = torch.randint(0, 256, (180, 320, 3), generator=generator).to(torch.uint8)
        corner, size = (torch.rand(count, 2, generator=generator) for _ in range(2))
        first = corner * torch.tensor([280.0, 120.0])
        return image, torch.cat([first, first + 10 + size * torch.tensor([60.0, 90.0])], 1)


class Crops(nn.Module):
    """Crops -> embeddings, for tools that cut, resize and scale by themselves."""

    inputs = ("crops",)
    outputs = ("embeddings",)
    dynamic: ClassVar[dict[str, dict[int, str]]] = {"crops": {0: "boxes"}, "embeddings": {0: "boxes"}}

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: CropEncoder, *, imagenet: bool) -> None:
        """`imagenet`: crops come normalised by ImageNet's mean and deviation, and are put back; else RGB in 0..1."""
        super().__init__()
        self.encoder = encoder
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if imagenet else ((0.0,) * 3, (1.0,) * 3)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))

    def forward(self, crops: Tensor) -> Tensor:
        """Crops (N, 3, H, W) RGB of the encoder's input size -> (N, D) of unit length."""
        return F.normalize(self.encoder(crops * self.std + self.mean))

    def examples(self, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """So many crops."""
        width, height = self.encoder.config.input_size
        return ((torch.rand(count, 3, height, width, generator=generator) - self.mean) / self.std,)


class Frames(nn.Module):
    """Letterboxed frames -> boxes, scores and embeddings of the one-shot network.

    Deformable convolutions are computed by ordinary sampling, which every runtime has.
    """

    inputs = ("images",)

    def __init__(self, model: OneShotTracker, input_size: tuple[int, int], max_objects: int) -> None:
        """`input_size`: width and height; `max_objects`: peaks that are read (K)."""
        super().__init__()
        self.model, self.input_size = model, input_size
        self.max_objects = min(max_objects, input_size[0] * input_size[1] // STRIDE**2)
        for module in model.modules():
            if isinstance(module, DeformConv2d):
                module.implementation = "grid_sample"
        self.outputs = ("boxes", "scores", *(("embeddings",) if model.config.embedding_dim else ()))
        self.dynamic = {name: {0: "batch"} for name in (*self.inputs, *self.outputs)}

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, H, W, 3) uint8 BGR of the input size -> boxes (B, K, 4) x1 y1 x2 y2 in their pixels, scores (B, K)
        in 0..1, best first, and embeddings (B, K, D) of unit length where the model has them."""
        pixels = images[..., [2, 1, 0]].permute(0, 3, 1, 2).float() / 255
        found = self.model(pixels)
        heatmap = found["hm"]
        is_peak = F.max_pool2d(heatmap, kernel_size=3, stride=1, padding=1) == heatmap
        heat = (heatmap.sigmoid() * is_peak).flatten(1)
        scores, cells = heat.topk(self.max_objects, dim=1)
        sizes, offsets = gather_cells(found["wh"], cells), gather_cells(found["reg"], cells)
        outputs = [boxes_at(cells, heatmap.shape[-1], sizes, offsets) * STRIDE, scores]
        if "id" in found:
            outputs.append(F.normalize(gather_cells(found["id"], cells), dim=-1))
        return tuple(outputs)

    def examples(self, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """So many images."""
        width, height = self.input_size
        return (torch.randint(0, 256, (count, height, width, 3), generator=generator).to(torch.uint8),)
