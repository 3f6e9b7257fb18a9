"""Does yoloscale find in an image what `YOLO(weights).predict(image)` finds in it? Image by image, one line each model.

    python scripts/compare_predictions.py runs/first/weights/best.pt              2,000 rendered images
    python scripts/compare_predictions.py detect.pt segment.pt --images 300 --conf 0.1
    python scripts/compare_predictions.py best.pt --source path/to/images --imgsz 640

Both sides run in this process, on one thread of the CPU, in fp32. Ours runs twice: with predict.exact=true, which is
to be equal to the bit, and without, which is to be equal to 1e-5 of each number. Objects are matched within their
class, each with its nearest. Coordinates are compared in relation to themselves, from a pixel on. Without exactness
objects whose scores are equal to 1e-7 may be ordered otherwise, and NMS may then leave another number of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

LIMIT = 1e-5
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
Array = npt.NDArray[Any]


@dataclass
class Difference:
    """What two sides come to over all images.

    Args:
        objects: that were found by `YOLO.predict`.
        mismatches: images in which the sides find another number of objects, in one of the classes.
        largest: relative difference of a number, by what it is a number of.
        pixels: of a mask or a map, the largest share that differs.
    """

    images: int = 0
    objects: int = 0
    mismatches: int = 0
    largest: dict[str, float] = field(default_factory=dict)
    pixels: float = 0.0

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs by more than is promised."""
        return not self.mismatches and max([0.0, *self.largest.values()]) <= LIMIT

    def add(self, name: str, ours: Array, theirs: Array, at_least: float) -> None:
        """Numbers that belong together; `at_least`: what they are in relation to where they are smaller."""
        if theirs.size:
            relative = np.abs(ours.astype(np.float64) - theirs) / np.maximum(np.abs(theirs), at_least)
            self.largest[name] = max(self.largest.get(name, 0.0), float(relative.max()))

    def add_pixels(self, ours: Array, theirs: Array) -> None:
        """A mask or a map of each side."""
        differing = ours != theirs
        inside = np.count_nonzero(theirs) if theirs.dtype == bool else theirs.size
        self.pixels = max(self.pixels, np.count_nonzero(differing) / max(inside, 1))

    def __str__(self) -> str:
        figures = [f"{name} {value:.2g}" for name, value in self.largest.items()]
        figures += [f"pixels {self.pixels:.2g}"] if self.pixels else []
        counts = f"{self.images} images, {self.objects} objects, {self.mismatches} count mismatches"
        return f"{counts}; largest relative difference: {', '.join(figures) or 'none'}"


def matched(ours: Sequence[Array], theirs: Sequence[Array]) -> tuple[Array, Array] | None:
    """Which of ours belongs to which of theirs: classes, scores and places of each side. None where the numbers differ.

    In their order, unless that of some with nearly the same score is another one.
    """
    if sorted(ours[0].tolist()) != sorted(theirs[0].tolist()):
        return None
    if np.array_equal(ours[0], theirs[0]) and np.allclose(ours[2], theirs[2], rtol=1e-3, atol=0.1):
        places = np.arange(len(ours[0]))
        return places, places
    distance = np.abs(ours[2][:, None] - theirs[2][None]).max(-1) + np.abs(ours[1][:, None] - theirs[1][None])
    distance[ours[0][:, None] != theirs[0][None]] = np.inf
    pairs: list[tuple[Any, Any]] = []
    while len(pairs) < len(distance):
        one, other = np.unravel_index(int(distance.argmin()), distance.shape)
        pairs.append((one, other))
        distance[one], distance[:, other] = np.inf, np.inf
    first, second = np.array(pairs).T
    return first, second


def add_image(difference: Difference, ours: Any, theirs: Any) -> None:
    """Compare a Prediction with Ultralytics' Results of the same image."""
    from yoloscale.predictions import rle

    difference.images += 1
    if theirs.probs is not None:
        difference.add("probabilities", ours.probs, theirs.probs.data.numpy(), 1e-6)
    if theirs.semantic_mask is not None:
        difference.add_pixels(ours.map, theirs.semantic_mask.data.numpy())
    if theirs.depth is not None:
        difference.add("depths", ours.map, theirs.depth.data.numpy(), 1e-6)
    objects = theirs.obb if theirs.obb is not None else theirs.boxes
    if objects is None:
        return
    difference.objects += len(objects)
    places = (objects.xywhr if theirs.obb is not None else objects.xyxy).numpy()
    mine = ours.obb if theirs.obb is not None else ours.boxes
    sides = (ours.classes, ours.scores, mine), (objects.cls.numpy().astype(int), objects.conf.numpy(), places)
    pairs = matched(*sides)
    if pairs is None:
        difference.mismatches += 1
        return
    first, second = pairs
    difference.add("scores", ours.scores[first], sides[1][1][second], 0.0)
    difference.add("boxes", mine[first], places[second], 1.0)
    if theirs.keypoints is not None:
        difference.add("keypoints", ours.keypoints[first], theirs.keypoints.data.numpy()[second], 1.0)
    if theirs.masks is not None:
        masks = theirs.masks.data.numpy().astype(bool)
        for one, other in zip(first, second, strict=True):
            difference.add_pixels(rle.decode(ours.masks[one]["counts"], *theirs.orig_shape), masks[other])


def compare(weights: Path, images: Sequence[Path], *, is_exact: bool, imgsz: int | None, conf: float) -> Difference:
    """Predict each image alone by both sides; masks in pixels of the image (`retina_masks`)."""
    from ultralytics import RTDETR, YOLO
    from ultralytics.utils import torch_utils

    from yoloscale.yolo.inference.pictures import decode
    from yoloscale.yolo.inference.predictor import Predictor
    from yoloscale.yolo.inference.settings import InferenceSettings

    torch_utils.NUM_THREADS = 1  # which Ultralytics sets by itself on a CPU
    settings = InferenceSettings(imgsz=imgsz, conf=conf, retina_masks=True, exact=is_exact)
    predictor = Predictor(weights, settings, "cpu")
    model = (RTDETR if "rtdetr" in weights.name else YOLO)(weights)
    arguments = {"imgsz": list(predictor.imgsz), "conf": conf, "retina_masks": True, "device": "cpu", "verbose": False}
    difference = Difference()
    for path in images:
        (theirs,) = model.predict(str(path), **arguments)
        image = decode(path.read_bytes(), path.name, predictor.channels)
        add_image(difference, predictor.predict([predictor.prepare(image)])[0], theirs)
    return difference


def rendered(weights: Path, count: int, size: int) -> list[Path]:
    """Images of the built-in data set, as many, rendered for the task of these weights; kept in the cache."""
    from yoloscale.config.locations import cache_folder
    from yoloscale.config.schema import LabelKind, PathsConfig, ShapesConfig, Task
    from yoloscale.datasets.shapes import dataset
    from yoloscale.yolo.weights import checkpoint

    task = Task(checkpoint(weights).task)
    options = ShapesConfig(train_images=1, val_images=count, image_size=size, seed=1)
    place = dataset.render(options, task, cache_folder(PathsConfig()), say)
    folder = place / "val" if task.label_kind is LabelKind.folders else place.parent / "images" / "val"
    return list(pictures(folder))[:count]


def pictures(folder: Path) -> Iterator[Path]:
    """The images below a folder, by their paths."""
    return (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="+", help="a .pt each")
    parser.add_argument("--source", type=Path, help="a folder of images; without it they are rendered")
    parser.add_argument("--images", type=int, default=2000, help="how many at most (2000)")
    parser.add_argument("--size", type=int, default=320, help="pixels of a rendered image (320)")
    parser.add_argument("--imgsz", type=int, help="as in `yolo predict`; that of the weights without it")
    parser.add_argument("--conf", type=float, default=0.25, help="as in `yolo predict` (0.25)")
    return parser


def say(line: str) -> None:
    """Progress, beside the result."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Compare and print; 0 if all is equal as promised, 1 if not, 2 without images."""
    import torch

    parsed = arguments().parse_args()
    torch.set_num_threads(1)
    are_equal = True
    for weights in parsed.weights:
        if parsed.source is not None:
            images = list(pictures(parsed.source))[: parsed.images]
        else:
            images = rendered(weights, parsed.images, parsed.size)
        if not images:
            say(f"{parsed.source}: no images")
            return 2
        for is_exact in (True, False):
            found = compare(weights, images, is_exact=is_exact, imgsz=parsed.imgsz, conf=parsed.conf)
            is_equal = found.is_equal and (not is_exact or not any([found.pixels, *found.largest.values()]))
            are_equal = are_equal and is_equal
            how = f"exact={str(is_exact).lower()}"
            print(f"{weights.name} {how}: {'equal' if is_equal else 'NOT EQUAL'}: {found}", flush=True)
    return 0 if are_equal else 1


if __name__ == "__main__":
    sys.exit(main())
