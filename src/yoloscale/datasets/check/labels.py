"""One label file, judged as Ultralytics' `verify_image_label` judges it, without numpy and without its image."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))  # of mAP50-95
_LARGEST, _SMALLEST = 1.01, -0.01  # relative coordinates, with Ultralytics' tolerance


@dataclass(frozen=True)
class LabelRules:
    """What the dataset and the task allow in a label file."""

    classes: int
    pose: bool = False
    keypoints: int = 0  # of each object, by the dataset YAML, whatever the task
    dimensions: int = 0  # of each keypoint: 2 or 3
    single_class: bool = False

    @property
    def keypoint_columns(self) -> int:
        """Columns of a line that hold keypoints, after the class and the box."""
        return self.keypoints * self.dimensions


@dataclass(frozen=True)
class Edges:
    """Boxes that reach over the edge of the image. Training clips them, validation compares with the whole box.

    A model that has learnt the part inside perfectly meets only those thresholds of mAP50-95 (0.50, 0.55 … 0.95) that
    the overlap of the part with the whole reaches.
    """

    boxes: int = 0  # that miss a threshold because of it
    flat: int = 0  # without width or height: no prediction overlaps with them
    missed: float = 0.0  # thresholds, in tenths of a box, summed over both
    line: int = 0  # of the first of `boxes`


@dataclass(frozen=True)
class Labels:
    """What is in a label file. `corrupt` says why training skips the image; then nothing else is counted."""

    corrupt: str = ""
    line: int = 0  # from 1, the first one that makes it corrupt
    outside: tuple[int, int] | None = None  # line and class of the first class behind the end of `names`
    lowest: int = 0  # class of all lines, where one is outside
    polygons: bool = False  # lines are polygons, not boxes
    per_class: Counter[int] = field(default_factory=Counter)
    duplicates: int = 0
    edges: Edges = Edges()

    @property
    def objects(self) -> int:
        """Lines that count."""
        return sum(self.per_class.values())


class _CorruptError(Exception):
    """Why a file is skipped, and the index of the row."""

    def __init__(self, reason: str, row: int) -> None:
        super().__init__(reason)
        self.row = row


def read_labels(text: str, rules: LabelRules) -> Labels:
    """Judge the text of a label file; lines are counted from 1."""
    numbered = [(number, line.split()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not numbered:
        return Labels()
    # pose labels serve the tasks that need boxes: Ultralytics keeps the box
    with_keypoints = 5 + rules.keypoint_columns if rules.keypoints and not rules.pose else None
    rows = [tokens[:5] if len(tokens) == with_keypoints else tokens for _, tokens in numbered]
    polygons = not rules.pose and any(len(row) > 6 for row in rows)
    outside, lowest = None, 0
    try:
        values = [_numbers(tokens, row) for row, tokens in enumerate(rows)]
        _check_columns(values, polygons, rules)
        if not rules.single_class:
            kinds = [(number, row[0]) for (number, _), row in zip(numbered, values, strict=True)]
            behind = ((number, int(kind)) for number, kind in kinds if kind % 1 == 0 and kind >= rules.classes)
            outside = next(behind, None)
        lowest = min(int(row[0]) for row in values if row[0] % 1 == 0) if outside else 0
        _check_values(values, polygons, rules)
    except _CorruptError as error:
        return Labels(corrupt=str(error), line=numbered[error.row][0], outside=outside, lowest=lowest)
    if outside:
        line, kind = outside
        return Labels(f"class {kind}; names ends at {rules.classes - 1}", line, outside, lowest)
    unique = {row.tobytes(): (row, number) for row, (number, _) in zip(values, numbered, strict=True)}
    counts = Counter(0 if rules.single_class else int(row[0]) for row, _ in unique.values())
    edges = _edges([(_box_around(row) if polygons else row[1:5], number) for row, number in unique.values()])
    return Labels(polygons=polygons, per_class=counts, duplicates=len(values) - len(unique), edges=edges)


def _numbers(tokens: list[str], row: int) -> array[float]:
    try:
        return array("f", map(float, tokens))
    except (ValueError, OverflowError) as error:
        raise _CorruptError(str(error), row) from error


def _check_columns(rows: list[array[float]], polygons: bool, rules: LabelRules) -> None:
    widths = [len(row) for row in rows]
    if polygons:
        if 5 in widths:
            raise _CorruptError("labels mix polygons and boxes", widths.index(5))
        odd = next((row for row, width in enumerate(widths) if width % 2 == 0), None)
        if odd is not None:
            raise _CorruptError("a polygon has an odd number of coordinates", odd)
        return
    expected = 5 + rules.keypoint_columns if rules.pose else 5
    other = next((row for row, width in enumerate(widths) if width != expected), None)
    if len(set(widths)) > 1:
        assert other is not None
        counts = ", ".join(map(str, sorted(set(widths))))
        raise _CorruptError(f"lines have different numbers of columns: {counts}", other)
    if other is not None:
        raise _CorruptError(f"labels require {expected} columns, not {widths[0]}", other)


def _check_values(rows: list[array[float]], polygons: bool, rules: LabelRules) -> None:
    """Ultralytics looks at boxes (of polygons: the box around each) or, for pose, at the keypoints' x and y."""
    boxes = [_box_around(row) if polygons else row[1:5] for row in rows]
    points: Sequence[Sequence[float]] = boxes
    if rules.pose:
        points = [[value for i, value in enumerate(row[5:]) if i % rules.dimensions < 2] for row in rows]
    for index, point in enumerate(points):
        if not max(point) <= _LARGEST:  # also when it is not a number
            raise _CorruptError(f"coordinates are not relative to the image size: {max(point):g}", index)
    for index, row in enumerate(rows):
        if any(value != value for value in row):
            raise _CorruptError("a value is not a number", index)
    lowest = [min(row[0], *box) if polygons else min(row) for row, box in zip(rows, boxes, strict=True)]
    flat = min(min(box[2:4]) for box in boxes)
    if not (min(lowest) >= 0 or (min(lowest) >= _SMALLEST and flat >= 0)):
        raise _CorruptError(f"negative label values: {min(lowest):g}", lowest.index(min(lowest)))
    for index, row in enumerate(rows):
        if row[0] % 1:
            raise _CorruptError("a class is not a whole number", index)


def _edges(boxes: Sequence[tuple[array[float], int]]) -> Edges:
    missed = [(overlap_inside(box), number) for box, number in boxes]
    over = [(overlap, number) for overlap, number in missed if 0 < overlap < _THRESHOLDS[-1]]
    flat = sum(overlap == 0 for overlap, _ in missed)
    tenths = sum(sum(overlap < threshold for threshold in _THRESHOLDS) for overlap, _ in over)
    line = min((number for _, number in over), default=0)
    return Edges(len(over), flat, tenths / len(_THRESHOLDS) + flat, line)


def overlap_inside(box: Sequence[float]) -> float:
    """Intersection over union of a box (centre, width, height, relative) and its part in the image; 0 if it is flat."""
    x, y, width, height = box
    if width <= 0 or height <= 0:
        return 0.0
    inside_x = min(x + width / 2, 1.0) - max(x - width / 2, 0.0)
    inside_y = min(y + height / 2, 1.0) - max(y - height / 2, 0.0)
    return max(inside_x, 0.0) * max(inside_y, 0.0) / (width * height)


def _box_around(row: array[float]) -> array[float]:
    xs, ys = row[1::2], row[2::2]
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    return array("f", ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top))
