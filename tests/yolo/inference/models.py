"""Small models of every task with random weights that find something, and pictures of several shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SUFFIXES = {
    "segment": "-seg",
    "classify": "-cls",
    "semantic": "-sem",
    "pose": "-pose",
    "obb": "-obb",
    "depth": "-depth",
}
SIZES = ((120, 200), (200, 120), (96, 96), (37, 300), (1, 400))  # height, width


def write_model(path: Path, architecture: str, imgsz: int = 96, channels: int = 3) -> Path:
    """A `.pt` of that architecture, whose activations are of a usual size and whose scores differ."""
    import torch
    from torch import nn
    from ultralytics import RTDETR, YOLO

    torch.manual_seed(0)
    model: Any = (RTDETR if "rtdetr" in architecture else YOLO)(architecture)
    if channels != 3:
        model.model = type(model.model)(architecture, ch=channels, verbose=False)
        model.model.task, model.model.args = model.task, {}
    net = model.model
    generator = torch.Generator().manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.8, 1.6, generator=generator)
            module.bias.data.normal_(0, 0.3, generator=generator)
    net.train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.rand(2, channels, imgsz, imgsz, generator=generator))
    head = net.model[-1]
    for name in ("cv3", "one2one_cv3"):
        for branch in getattr(head, name, None) or ():
            branch[-1].bias.data.normal_(-3, 1.0, generator=generator)
            branch[-1].weight.data.mul_(2)
    net.eval()
    net.args = {**net.args, "imgsz": imgsz} if isinstance(net.args, dict) else {"imgsz": imgsz}
    model.save(path)
    content = torch.load(path, weights_only=False)
    content["train_args"] = {"imgsz": imgsz, "task": model.task}
    torch.save(content, path)
    return path


def write_pictures(folder: Path, sizes: tuple[tuple[int, int], ...] = SIZES) -> list[Path]:
    """A PNG of each size: smooth noise with a few rectangles."""
    import cv2
    import numpy as np

    generator = np.random.default_rng(0)
    paths = []
    for number, (height, width) in enumerate(sizes):
        image = generator.integers(0, 255, (max(height // 8, 1), max(width // 8, 1), 3), np.uint8)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(3):
            y, x = int(generator.integers(0, height)), int(generator.integers(0, width))
            image[y : y + height // 4, x : x + width // 4] = generator.integers(0, 255, 3)
        paths.append(folder / f"{number}.png")
        assert cv2.imwrite(str(paths[-1]), image)
    return paths
