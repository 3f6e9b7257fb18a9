"""What was found in one image."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Prediction:
    """What was found in one image, on the CPU, in pixels of the source; None where the model's task has no such thing.

    Args:
        height, width: of the source.
        boxes: (n, 4), x1 y1 x2 y2.
        scores, classes: (n,), highest score first.
        masks: n of COCO's run lengths, `{"size": [height, width], "counts": text}`. With `retina_masks` Ultralytics'
            own; without, its masks of the network's input, less the padding, as nearest neighbours.
        keypoints: (n, k, 2 or 3), x y and the visibility.
        obb: (n, 5), centre x y, width, height, radians.
        probs: (c,), of each class.
        map: (height, width): class numbers (uint8, int16 or int32), or depths (float32).
        embedding: (d,).
    """

    height: int
    width: int
    boxes: Floats | None = None
    scores: Floats | None = None
    classes: Integers | None = None
    masks: list[dict[str, Any]] | None = None
    keypoints: Floats | None = None
    obb: Floats | None = None
    probs: Floats | None = None
    map: npt.NDArray[Any] | None = None
    embedding: Floats | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the model looked for objects and found none."""
        return self.scores is not None and not len(self.scores)

    def equals(self, other: Prediction) -> bool:
        """Whether both are the same to the bit."""
        return all(_same(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return type(one) is type(other) and bool(one == other)
