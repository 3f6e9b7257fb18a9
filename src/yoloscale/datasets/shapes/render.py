"""Paint a scene of the built-in dataset: colours, texture, haze, clutter, anti-aliased edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from yoloscale.datasets.shapes.classes import CLASSES
from yoloscale.datasets.shapes.scene import MARK_CENTER, MARK_RADIUS, Points, Scene, Shape

Image = NDArray[np.uint8]  # (height, width, 3), BGR

_SUBPIXEL_BITS = 4
_NEAREST_M, _FARTHEST_M = 1.5, 6.0  # distances of shapes; the ground behind them runs from 7 m (bottom) to 10 m (top)
_TYPICAL_COLOR = 0.6  # probability that a shape has the hue of its class
_CONTRAST = 90.0  # smallest distance in BGR between a shape and the ground behind it


def paint(scene: Scene, random: np.random.Generator) -> Image:
    """Return the picture of a scene."""
    image = _ground(scene.size, random)
    _clutter(image, random)
    for placed in scene.placed:
        _paint_shape(image, placed.shape, random)
    noise = random.integers(-5, 6, (scene.size // 2 + 1, scene.size // 2 + 1, 1), dtype=np.int16)
    fine = cv2.resize(noise, (scene.size, scene.size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(image + fine[..., None], 0, 255), np.uint8)


def class_mask(scene: Scene) -> NDArray[np.uint8]:
    """Return (size, size) with 0 for the ground and 1 + class index for a shape."""
    mask = np.zeros((scene.size, scene.size), np.uint8)
    for placed in scene.placed:
        cv2.fillPoly(mask, [_fixed(placed.shape.outline())], placed.shape.kind + 1, shift=_SUBPIXEL_BITS)
    return mask


def depth_map(scene: Scene) -> NDArray[np.float32]:
    """Return (size, size) metres: the ground recedes upwards, a smaller shape stands farther away."""
    rows = np.linspace(10.0, 7.0, scene.size, dtype=np.float32)
    depth = np.repeat(rows[:, None], scene.size, axis=1)
    for placed in scene.placed:
        metres = distance_m(placed.shape, scene.size)
        cv2.fillPoly(depth, [_fixed(placed.shape.outline())], metres, shift=_SUBPIXEL_BITS)
    return depth


def distance_m(shape: Shape, size: int) -> float:
    """Metres to a shape: all shapes are equally large, so distance is inverse to the radius on the image."""
    return float(np.clip(0.42 * size / shape.radius, _NEAREST_M, _FARTHEST_M))


def _ground(size: int, random: np.random.Generator) -> Image:
    """Two octaves of smooth colour noise, paler towards the top."""
    coarse = random.integers(40, 200, (4, 4, 3), dtype=np.uint8)
    fine = random.integers(0, 90, (size // 10, size // 10, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    rough = cv2.resize(fine, (size, size), interpolation=cv2.INTER_LINEAR)
    ground = cv2.addWeighted(smooth, 0.55, rough, 0.5, 10)
    haze = np.linspace(45, 0, size, dtype=np.float32).astype(np.uint8)
    return np.asarray(cv2.add(ground, np.broadcast_to(haze[:, None, None], ground.shape).copy()), np.uint8)


def _clutter(image: Image, random: np.random.Generator) -> None:
    """Thin lines and arcs that are no objects."""
    size = image.shape[0]
    thickness = max(round(size / 320), 1)
    for _ in range(int(random.integers(3, 9))):
        color = [int(value) for value in random.integers(0, 256, 3)]
        start, end = random.integers(0, size, (2, 2)).tolist()
        if random.random() < 0.5:
            cv2.line(image, start, end, color, thickness, cv2.LINE_AA)
        else:
            axes = [int(axis) for axis in random.integers(size // 20, size // 5, 2)]
            first = int(random.integers(0, 360))
            cv2.ellipse(image, start, axes, first, 0, int(random.integers(60, 200)), color, thickness, cv2.LINE_AA)


def _paint_shape(image: Image, shape: Shape, random: np.random.Generator) -> None:
    outline = shape.outline()
    left, top = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 2, 0)
    right, bottom = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 2, image.shape[0])
    region = image[top:bottom, left:right]
    alpha = np.zeros(region.shape[:2], np.uint8)
    cv2.fillPoly(alpha, [_fixed(outline - (left, top))], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    color = _color(random, shape.kind, region.reshape(-1, 3).mean(axis=0))
    surface = np.broadcast_to(color, region.shape) * _stripes(region.shape[:2], shape, random)[..., None]
    surface = np.clip(surface, 0, 255).astype(np.uint8)
    mark = shape.to_image(np.array([MARK_CENTER]))[0] - (left, top)
    dark = (25, 25, 25) if color.mean() > 110 else (240, 240, 240)
    center = _fixed(mark[None])[0].tolist()
    radius = round(MARK_RADIUS * shape.radius * 2**_SUBPIXEL_BITS)
    cv2.circle(surface, center, radius, dark, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)
    weight = alpha[..., None].astype(np.float32) / 255
    region[:] = (surface * weight + region * (1 - weight) + 0.5).astype(np.uint8)


def _color(random: np.random.Generator, kind: int, behind: NDArray[np.float64]) -> NDArray[np.float64]:
    """A colour that stands out from what is behind: often near the hue of the class, else any.

    As with real things, colour is a hint and form decides; without the hint a short training run learns little.
    """
    candidates = random.integers(0, 256, (8, 3)).astype(float)
    if random.random() < _TYPICAL_COLOR:
        hue = np.rint(random.normal(kind * 180 / len(CLASSES), 10, 8)) % 180  # OpenCV's hues end at 180
        vivid = np.column_stack([hue, random.integers(110, 256, (8, 2))]).astype(np.uint8)
        candidates = cv2.cvtColor(vivid[None], cv2.COLOR_HSV2BGR)[0].astype(float)
    contrast = np.linalg.norm(candidates - behind, axis=1)
    enough = np.flatnonzero(contrast >= _CONTRAST)
    return np.asarray(candidates[enough[0] if len(enough) else int(contrast.argmax())])


def _stripes(shape_hw: tuple[int, ...], shape: Shape, random: np.random.Generator) -> NDArray[np.float32]:
    """Brightness over a region: soft stripes in a random direction, strong on some shapes and faint on others."""
    turn, strength = random.uniform(0, np.pi), random.uniform(0.02, 0.2)
    wave = 2 * np.pi / (shape.radius * random.uniform(0.3, 0.8))
    rows = np.arange(shape_hw[0], dtype=np.float32)[:, None] * np.float32(np.sin(turn) * wave)
    columns = np.arange(shape_hw[1], dtype=np.float32)[None] * np.float32(np.cos(turn) * wave)
    return np.asarray(1 + np.float32(strength) * np.sin(rows + columns), np.float32)


def _fixed(points: Points) -> NDArray[np.int32]:
    """OpenCV's fixed-point coordinates, which count from the middle of the first pixel."""
    return np.asarray(np.rint((points - 0.5) * 2**_SUBPIXEL_BITS), np.int32)
