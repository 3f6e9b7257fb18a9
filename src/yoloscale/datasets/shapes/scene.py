"""What is on an image of the built-in dataset: pure geometry, a function of (seed, split, index) alone.

Coordinates are pixels, x right and y down, with (0, 0) the outer corner of the first pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from yoloscale.datasets.shapes.classes import CLASSES

Points = NDArray[np.float64]  # (n, 2), x and y

SPLITS = ("train", "val")

MARK_RADIUS = 0.14  # of the disc that shows where the head is, in units of the shape's radius
MARK_CENTER = (0.0, -0.5)

_SMALLEST_VISIBLE = 0.7  # the part of a shape that later ones must leave uncovered
_SUPERSAMPLING = 4  # resolution of a partly covered outline: 1/4 pixel
_SLIVER = np.ones((_SUPERSAMPLING + 1, _SUPERSAMPLING + 1), np.uint8)
_TRIES = 12  # places tried for one shape before it is left out


class Layout(str, Enum):
    """How many shapes an image holds, and how large they are."""

    scattered = "scattered"  # none to seven shapes, far ones small, near ones in front
    single = "single"  # exactly one large shape, of the class `index` modulo the number of classes


@dataclass(frozen=True)
class Shape:
    """One shape: class index, centre and radius in pixels, clockwise turn in radians, width relative to height."""

    kind: int
    center: tuple[float, float]
    radius: float
    angle: float
    slimness: float

    def to_image(self, local: Points) -> Points:
        """Map local coordinates (radius 1, head up) to pixels."""
        sine, cosine = np.sin(self.angle), np.cos(self.angle)
        turned = (local * (self.slimness, 1.0)) @ np.array([[cosine, sine], [-sine, cosine]])
        return np.asarray(turned * self.radius + self.center)

    def to_local(self, points: Points) -> Points:
        """Undo `to_image`, except for the scaling: pixels along the shape's own axes, from its centre."""
        sine, cosine = np.sin(self.angle), np.cos(self.angle)
        return np.asarray((points - self.center) @ np.array([[cosine, -sine], [sine, cosine]]))

    def outline(self) -> Points:
        """Corners in pixels, clockwise."""
        return self.to_image(_OUTLINES[self.kind])

    def keypoints(self) -> Points:
        """Head, right, tail, left, as `KEYPOINTS` names them."""
        return self.to_image(_KEYPOINTS[self.kind])


@dataclass(frozen=True)
class Placed:
    """A shape of a scene with the outline of its visible part."""

    shape: Shape
    visible: Points
    covered: bool  # by a later shape, in part


@dataclass(frozen=True)
class Scene:
    """Shapes from the farthest to the nearest; a later one covers an earlier one."""

    size: int
    placed: tuple[Placed, ...]


def generator(seed: int, split: str, index: int, purpose: int) -> np.random.Generator:
    """Random numbers of one image; `purpose` keeps geometry (0) and paint (1) apart."""
    return np.random.default_rng([seed, SPLITS.index(split), index, purpose])


def compose(seed: int, split: str, index: int, size: int, layout: Layout) -> Scene:
    """Return the scene of one image of `size` x `size` pixels. Every shape lies wholly inside the image."""
    random = generator(seed, split, index, 0)
    if layout is Layout.single:
        kinds, radii = [index % len(CLASSES)], [random.uniform(0.18, 0.34) * size]
    else:
        count = 0 if random.random() < 0.03 else int(random.integers(1, 8))
        kinds = [int(kind) for kind in random.integers(0, len(CLASSES), count)]
        radii = [float(radius) for radius in np.sort(random.uniform(0.08, 0.2, count) * size)]
    placed: list[Placed] = []
    for kind, radius in zip(kinds, radii, strict=True):
        for _ in range(_TRIES):
            attempt = _with(placed, _random_shape(random, kind, radius, size))
            if attempt is not None:
                placed = attempt
                break
    return Scene(size, tuple(placed))


def _random_shape(random: np.random.Generator, kind: int, radius: float, size: int) -> Shape:
    # the corner of a shape's oriented box is at most sqrt(2) radii from its centre
    low, high = radius * np.sqrt(2) + 1, size - radius * np.sqrt(2) - 1
    x, y = random.uniform(low, high, 2) if low < high else (size / 2, size / 2)
    slimness = random.uniform(0.35, 0.6) if CLASSES[kind] == "rectangle" else random.uniform(0.85, 1.0)
    return Shape(kind, (float(x), float(y)), float(radius), float(random.uniform(0, 2 * np.pi)), float(slimness))


def _with(placed: list[Placed], shape: Shape) -> list[Placed] | None:
    """Put `shape` in front of all others; None if it hides too much of one of them."""
    result = []
    for index, earlier in enumerate(placed):
        distance = np.hypot(*np.subtract(earlier.shape.center, shape.center))
        if distance > earlier.shape.radius * 1.42 + shape.radius * 1.42:
            result.append(earlier)
            continue
        coverers = [later.shape for later in placed[index + 1 :]] + [shape]
        visible = _visible_outline(earlier.shape, coverers)
        if visible is None:
            return None
        result.append(visible)
    return [*result, Placed(shape, shape.outline(), covered=False)]


def _visible_outline(shape: Shape, coverers: list[Shape]) -> Placed | None:
    """Outline of what `coverers` leave of `shape`; None if that is too little, or in pieces."""
    own = shape.outline()
    corner = np.floor(own.min(axis=0)) - 1
    width, height = (np.ceil(own.max(axis=0)) + 1 - corner).astype(int) * _SUPERSAMPLING
    canvas = np.zeros((height, width), np.uint8)
    _fill(canvas, own, corner, 1)
    whole = int(np.count_nonzero(canvas))
    for coverer in coverers:
        _fill(canvas, coverer.outline(), corner, 0)
    left = int(np.count_nonzero(canvas))
    if left == whole:
        return Placed(shape, own, covered=False)
    canvas = cv2.morphologyEx(canvas, cv2.MORPH_OPEN, _SLIVER)  # nobody sees what is thinner than about a pixel
    contours, _ = cv2.findContours(canvas, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if left < _SMALLEST_VISIBLE * whole or len(contours) != 1:
        return None
    rim = cv2.approxPolyDP(contours[0], 1.5, closed=True).reshape(-1, 2)
    return Placed(shape, (rim + 0.5) / _SUPERSAMPLING + corner, covered=True)


def _fill(canvas: NDArray[np.uint8], outline: Points, corner: Points, value: int) -> None:
    points = (outline - corner) * _SUPERSAMPLING - 0.5
    cv2.fillPoly(canvas, [np.rint(points).astype(np.int32)], value)


def _round(count: int, radii: tuple[float, ...]) -> Points:
    """Points at equal angles from the head on, clockwise, at the given radii in turn."""
    turns = np.arange(count) * 2 * np.pi / count
    distance = np.resize(radii, count)
    return np.stack([np.sin(turns) * distance, -np.cos(turns) * distance], axis=1)


_STAR = _round(10, (1.0, 0.45))
_OUTLINES: tuple[Points, ...] = (
    _round(48, (1.0,)),
    np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]),
    np.array([(0.0, -1.0), (1.0, 0.75), (-1.0, 0.75)]),
    _STAR,
)
_KEYPOINTS: tuple[Points, ...] = (
    np.array([(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]),
    np.array([(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]),
    np.array([(0.0, -1.0), (4 / 7, 0.0), (0.0, 0.75), (-4 / 7, 0.0)]),
    np.array([_STAR[0], _STAR[2], _STAR[5], _STAR[8]]),
)
