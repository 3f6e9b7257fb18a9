"""coco.json: what was found, as one COCO file that is written piece by piece, and a list of what its image ids are.

| key | content |
| --- | --- |
| `images` | `id` (the index in the manifest), `file_name` (the source as it was listed), `width`, `height`; of a frame also `frame`; of all images that could be read |
| `annotations` | `id` (from 1), `image_id`, `category_id`, `bbox` (x, y of the upper left corner, width, height; pixels), `score`, `area`, `iscrowd` |
| … of segment | `segmentation` (compressed run lengths), whose `area` it is |
| … of pose | `keypoints` (x, y, score of each; 2 for a score where the model gives none), `num_keypoints` |
| … of obb | `segmentation` (one polygon: the corners), `rbox` (centre x y, width, height, angle in radians); `bbox` encloses them |
| `categories` | `id` (the class's number + 1, as Ultralytics writes for `save_json`), `name` |

`COCO(file)` reads it, and `loadRes` takes its list of annotations.
"""  # noqa: E501 - a table

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

import numpy as np

from yoloscale.predictions import rle
from yoloscale.predictions.labels import corners

Row = Mapping[str, Any]
READABLE = ("ok", "empty")
IMAGE_COLUMNS = ("index", "source", "frame", "time_s", "status", "height", "width")  # all that the images' lists take
FIRST_CATEGORY = 1
_PIXEL_DIGITS, _SCORE_DIGITS = 3, 5  # as Ultralytics rounds them
_VISIBLE = 2.0  # COCO's word for a keypoint that is seen


def write(file: IO[str], rows: Callable[[Sequence[str] | None], Iterable[Row]], names: Mapping[int, str]) -> int:
    """Write coco.json; the number of annotations.

    `rows`: gives all rows in the order of the manifest, with these columns or with all; called for each list in the
    file.
    """
    categories = [{"id": number + FIRST_CATEGORY, "name": name} for number, name in sorted(names.items())]
    info = {"description": "written by yoloscale predict"}
    file.write(f'{{"info":{_json(info)},\n"categories":{_json(categories)},\n"images":[')
    _write_list(file, (image(row) for row in rows(IMAGE_COLUMNS) if row["status"] in READABLE))
    file.write('],\n"annotations":[')
    count = _write_list(file, _numbered(entry for row in rows(None) for entry in objects(row)))
    file.write("]}\n")
    return count


def write_images(file: IO[str], rows: Iterable[Row]) -> None:
    """Write coco-images.csv: the source of each image id, also of those that could not be read."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("image_id", "source", "frame", "time_s", "status"))
    for row in rows:
        writer.writerow((row["index"], row["source"], row.get("frame"), row.get("time_s"), row["status"]))


def image(row: Row) -> dict[str, Any]:
    """The entry of one image."""
    entry = {"id": row["index"], "file_name": row["source"], "width": row["width"], "height": row["height"]}
    return entry if row.get("frame") is None else {**entry, "frame": row["frame"]}


def objects(row: Row) -> Iterator[dict[str, Any]]:
    """The annotations of what was found in one image, without their ids."""
    shapes = _shapes(row)
    for place, (number, score) in enumerate(zip(row.get("classes") or (), row.get("scores") or (), strict=True)):
        yield {
            "image_id": row["index"],
            "category_id": number + FIRST_CATEGORY,
            "score": round(score, _SCORE_DIGITS),
            **shapes[place],
            **_keypoints(row, place),
            "iscrowd": 0,
        }


def _shapes(row: Row) -> list[dict[str, Any]]:
    if row.get("obb") is not None:
        return [_oriented(box) for box in row["obb"]]
    if row.get("masks") is not None:
        size = [row["height"], row["width"]]
        pairs = zip(row["boxes"], row["masks"], strict=True)
        return [
            {**_box(box), "segmentation": {"size": size, "counts": mask}, "area": rle.area(mask)} for box, mask in pairs
        ]
    return [_box(box) for box in row.get("boxes") or ()]


def _box(box: Sequence[float]) -> dict[str, Any]:
    left, top, right, bottom = box
    sides = [_pixels(right - left), _pixels(bottom - top)]
    return {"bbox": [_pixels(left), _pixels(top), *sides], "area": _pixels(sides[0] * sides[1])}


def _oriented(box: Sequence[float]) -> dict[str, Any]:
    points = corners(np.array([box], dtype=np.float32))[0]
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return {
        **_box((left, top, right, bottom)),
        "area": _pixels(box[2] * box[3]),
        "segmentation": [[_pixels(value) for value in points.ravel().tolist()]],
        "rbox": [_pixels(value) for value in box[:4]] + [round(box[4], _SCORE_DIGITS)],
    }


def _keypoints(row: Row, place: int) -> dict[str, Any]:
    if not row.get("keypoints"):
        return {}
    points = row["keypoints"][place]
    triples = [(point[0], point[1], point[2] if len(point) > 2 else _VISIBLE) for point in points]
    flat = [value for x, y, seen in triples for value in (_pixels(x), _pixels(y), round(seen, _SCORE_DIGITS))]
    return {"keypoints": flat, "num_keypoints": len(points)}


def _pixels(value: float) -> float:
    return round(value, _PIXEL_DIGITS)


def _numbered(entries: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return ({"id": place, **entry} for place, entry in enumerate(entries, start=1))


def _write_list(file: IO[str], entries: Iterable[Mapping[str, Any]]) -> int:
    count = 0
    for entry in entries:
        file.write(("," if count else "") + "\n" + _json(entry))
        count += 1
    return count


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
