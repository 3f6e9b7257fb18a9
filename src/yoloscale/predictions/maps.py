"""Maps of semantic and depth tasks, too large for a row: a file each below maps/, named in the row.

| task | file | holds |
| --- | --- | --- |
| semantic | maps/<6 digits of the unit>/<9 digits of the index>.png | class numbers, 16 bit where 8 are too few |
| depth | the same, .npy | float32, height × width |

Both have the size of the image. The same map has the same bytes whoever writes it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from yoloscale.predictions.parts import MAPS, not_written
from yoloscale.system.files import PART, replacement

FOLDER = MAPS
_PNG_LEVEL = 6


def write(run_path: Path, unit: int, index: int, values: npt.NDArray[Any]) -> str:
    """Write one map (height × width; class numbers or float32), whole or absent; its path below the run directory.

    It survives a power cut once the part of its unit is written. Raises PartNotWritten.
    """
    if values.dtype.kind != "f":
        values = values.astype(np.uint8 if values.size == 0 or int(values.max()) < 256 else np.uint16)
    suffix = ".npy" if values.dtype.kind == "f" else ".png"
    folder = run_path / FOLDER / f"{unit:06d}"
    target = folder / f"{index:09d}{suffix}"
    try:
        for level in (folder.parent, folder):
            level.mkdir(exist_ok=True)
        with replacement(target) as part, part.open("wb") as file:
            _save(np.ascontiguousarray(values), file)
    except OSError as error:
        raise not_written(run_path, target, error) from error
    return target.relative_to(run_path).as_posix()


def drop_unfinished(run_path: Path, moved_on: Callable[[], None] = lambda: None) -> None:
    """Remove what killed writers have left, once every unit is done. `moved_on` is called for each unit."""
    for folder in (run_path / FOLDER).glob("*"):
        moved_on()
        for left in folder.glob(f"*{PART}"):
            left.unlink(missing_ok=True)


def _save(values: npt.NDArray[Any], file: IO[bytes]) -> None:
    if values.dtype.kind == "f":
        np.save(file, values.astype(np.float32), allow_pickle=False)
        return
    from PIL import Image

    Image.fromarray(values).save(file, format="PNG", compress_level=_PNG_LEVEL)


def read(run_path: Path, name: str) -> npt.NDArray[Any]:
    """The map that a row names, height × width: class numbers (uint8 or uint16) or float32."""
    path = run_path / name
    if path.suffix == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    from PIL import Image

    with Image.open(path) as image:
        values = np.asarray(image)
    return values if values.dtype == np.uint8 else values.astype(np.uint16)
