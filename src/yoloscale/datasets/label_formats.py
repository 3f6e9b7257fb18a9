"""Why a label file cannot be used, for the person who has to mend it: the format of its lines, and the cure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from yoloscale.config.schema import LabelKind, Task
from yoloscale.datasets.check.labels import LabelRules, overlap_inside
from yoloscale.datasets.file_kinds import HEAD_BYTES, other_file

_LINE = "class x y width height"
_PERCENT = 100
_BLANKS, _WORD = "[[:space:]]+", "[^[:space:]]+"  # of sed
# a line whose coordinates, read with points, lie in 0 … 1 (2: a visible keypoint); of sed and of Python
_DECIMAL_LINE = r"^[0-9]+([ \t]+(0([.,][0-9]+)?|1([.,]0+)?|2))+[ \t\r]*$"
_PLAIN_NAME = r"(?![\d.]+$)[\w -]+"  # the name of a class that sed and a label file take, and that is no number
_KEEP_AND_TAKE = 'mv "$f" "$f.bak" && mv "$f.new" "$f"'
_NEAR = 1.5  # larger than the image by more than half of it: not a box over its edge, but other units


@dataclass(frozen=True)
class Setting:
    """What the dataset and the run say about their labels."""

    yaml: Path
    task: Task
    rules: LabelRules
    names: dict[int, str]


@dataclass(frozen=True)
class Cause:
    """What is wrong with a file, and what to do."""

    found: str
    cure: str


@dataclass(frozen=True)
class _Case:
    """A label file that is skipped, and the line that makes it so."""

    file: str
    rows: tuple[tuple[str, ...], ...]
    row: tuple[str, ...]  # the words of that line
    first: bool  # whether it is the first line
    corrupt: str  # the reason by the rules of Ultralytics
    setting: Setting
    shape: Callable[[], tuple[int, int]]  # height and width of the image; (0, 0) if it cannot be opened

    @property
    def values(self) -> tuple[float, ...]:
        """The line as numbers; empty if it holds something else."""
        return _numbers(self.row)

    @property
    def folder(self) -> str:
        """The folder of the file and others, for a shell; a command for them leaves lines of another format alone."""
        return shlex.quote(str(Path(self.file).parent))

    def sed(self, script: str) -> str:
        """A command that edits the lines of the folder's files, and keeps them as they were under .bak."""
        return f"find {self.folder} -maxdepth 1 -name '*.txt' -exec sed -i.bak -E {shlex.quote(script)} {{}} +"

    def all_numbers(self) -> tuple[tuple[float, ...], ...]:
        """All lines as numbers; empty if any holds something else."""
        rows = tuple(_numbers(row) for row in self.rows)
        return rows if all(rows) else ()


def explain(
    file: str, text: str, line: int, corrupt: str, setting: Setting, shape: Callable[[], tuple[int, int]]
) -> Cause:
    """The format of a label file that training skips because of `corrupt` in `line` (from 1; 0: the whole file)."""
    head = text.encode(errors="surrogateescape")[:HEAD_BYTES]
    if head and (other := other_file(file, head)):
        return Cause(other.what, other.cure)
    lines = [tuple(each.split()) for each in text.splitlines()]
    rows = tuple(filter(None, lines))
    row = lines[line - 1] if 0 < line <= len(lines) else (rows[0] if rows else ())
    if not row:  # the file has changed meanwhile
        return Cause(corrupt, f"write lines of {wanted(setting)}")
    case = _Case(file, rows, row, bool(rows) and row == rows[0], corrupt, setting, shape)
    for recognise in _RECOGNISERS:
        if cause := recognise(case):
            return cause
    return Cause(corrupt, f"write lines of {wanted(setting)}, each coordinate relative to the image (0 … 1)")


def inside(words: Sequence[str], *, polygon: bool) -> str:
    """A label line with its box, or its polygon, clipped to the image."""
    if polygon:
        return _joined(words[0], [min(max(value, 0.0), 1.0) for value in _numbers(words[1:])])
    x, y, width, height = _numbers(words[1:5])
    edges = (max(x - width / 2, 0.0), max(y - height / 2, 0.0), min(x + width / 2, 1.0), min(y + height / 2, 1.0))
    return " ".join([_boxed(words[0], *edges), *words[5:]])


def subtract_one(folders: Sequence[str]) -> str:
    """A command that makes classes that run from 1 run from 0, once: files that it has kept as .from1 stay."""
    program = r"$1 ~ /^[1-9][0-9]*(\.0*)?$/ {$1 = $1 - 1} 1"
    files = " ".join(f"{shlex.quote(folder)}/*.txt" for folder in folders)
    new = f'awk {shlex.quote(program)} "$f" > "$f.new" && mv "$f" "$f.from1" && mv "$f.new" "$f"'
    return f'for f in {files}; do [ -e "$f.from1" ] || {{ {new}; }}; done'


def from_utf16(file: str) -> str:
    """A command that rewrites the UTF-16 files in the folder of a label as UTF-8."""
    marked = f"LC_ALL=C grep -rlaP --include='*.txt' '^(\\xff\\xfe|\\xfe\\xff)' {shlex.quote(str(Path(file).parent))}"
    return f'{marked} | while read -r f; do iconv -f UTF-16 -t UTF-8 "$f" > "$f.new" && {_KEEP_AND_TAKE}; done'


def wanted(setting: Setting) -> str:
    """What a label line of the task looks like."""
    if setting.task.label_kind is LabelKind.keypoints:
        visible = " v1" if setting.rules.dimensions == 3 else ""
        return f"{_LINE} x1 y1{visible} … ({5 + setting.rules.keypoint_columns} numbers)"
    if setting.task.label_kind is LabelKind.corners:
        return "class x1 y1 x2 y2 x3 y3 x4 y4"
    return "class x1 y1 x2 y2 x3 y3 …" if setting.task.label_kind in (LabelKind.polygons, LabelKind.masks) else _LINE


def _markup(case: _Case) -> Cause | None:
    kind = {"{": "JSON", "[": "JSON", "<": "XML"}.get(case.rows[0][0][:1]) if case.rows else None
    if kind is None:
        return None
    return Cause(f"holds {kind}, not a line for each object", "export the labels again, in the format YOLO")


def _commas(case: _Case) -> Cause | None:
    for separator, name in ((",", "commas"), (";", "semicolons")):
        parts = [part for word in case.row for part in word.split(separator) if part]
        if separator in case.row[0] and len(parts) >= 5 and (len(case.row) == 1 or case.row[0].endswith(separator)):
            cure = f"put blanks there: {case.sed(f'/^[^[:space:]]*{separator}/s/{separator} */ /g')}"
            return Cause(f"separates values by {name}: {' '.join(case.row)[:60]}", cure)
    decimal = [word for word in case.row if "," in word]
    if decimal and len(case.row) >= 5 and re.match(_DECIMAL_LINE, " ".join(case.row)):
        script = "/" + _DECIMAL_LINE.replace(r" \t\r", "[:space:]").replace(r" \t", "[:space:]") + "/s/,/./g"
        return Cause(f"writes decimals with a comma: {decimal[0]}", f"write points: {case.sed(script)}")
    return None


def _dota(case: _Case) -> Cause | None:
    corners = [row for row in case.rows if len(row) in (9, 10) and _numbers(row[:8]) and not _numbers(row[8:9])]
    if case.values or not corners:
        return None
    program = "from ultralytics.data.converter import convert_dota_to_yolo_obb; help(convert_dota_to_yolo_obb)"
    cure = f"convert them with Ultralytics' convert_dota_to_yolo_obb: python -c '{program}'"
    return Cause("is DOTA's format: corners in pixels, then the name of the class", cure)


def _kitti(case: _Case) -> Cause | None:
    if len(case.row) not in (15, 16) or _numbers(case.row[:1]) or not _numbers(case.row[1:]):
        return None
    cure = f"write {_LINE} from the columns 5 to 8 (left, top, right, bottom in pixels), divided by the image size"
    return Cause("is KITTI's format: the name of the class and 14 numbers", cure)


def _class_names(case: _Case) -> Cause | None:
    words = next((count for count, word in enumerate(case.row) if _numbers((word,))), 0)
    if not words or len(_numbers(case.row[words:])) < 4:
        return None
    name = " ".join(case.row[:words])
    index = next((index for index, known in case.setting.names.items() if known.lower() == name.lower()), None)
    if index is None:
        known = ", ".join(f"{index} {each}" for index, each in list(case.setting.names.items())[:5])
        cure = f"write the index of a class in names: ({known}), or add {name} there: {case.setting.yaml}"
    elif re.fullmatch(_PLAIN_NAME, name):
        indices = {each: number for number, each in case.setting.names.items() if re.fullmatch(_PLAIN_NAME, each)}
        indices[name] = index
        script = "; ".join(rf"s/^{each} ([-0-9.])/{number} \1/" for each, number in indices.items())
        cure = f"write its index: {case.sed(script)}"
    else:
        cure = f"write its index: {index}"
    return Cause(f"names the class instead of its index: {name}", cure)


def _text(case: _Case) -> Cause | None:
    word = next((word for word in case.row if not _numbers((word,))), None)
    if word is None:
        return None
    if case.row[0].startswith(("#", "//")) or (case.first and not any(_numbers((each,)) for each in case.row)):
        return Cause(f"has a heading or a comment: {' '.join(case.row)[:60]}", "take that line out")
    return Cause(f"has a value that is no number: {word[:60]}", f"write {wanted(case.setting)}")


def _keypoints(case: _Case) -> Cause | None:
    """Lines of the pose task, for another task or another number of keypoints."""
    setting, rows = case.setting, case.all_numbers()
    widths = {len(row) for row in rows}
    pose = setting.task.label_kind is LabelKind.keypoints
    if len(widths) != 1 or not rows or (pose and "columns" not in case.corrupt):
        return None
    extra = widths.pop() - 5
    seen = {value for row in rows for value in row[7::3]}
    dimensions = 3 if extra > 0 and extra % 3 == 0 and seen <= {0, 1, 2} else 2 if extra > 0 and extra % 2 == 0 else 0
    if pose and extra == 0:
        return Cause("has boxes without keypoints", "take a detection model (model=yolo26n), or labels with keypoints")
    if not dimensions or (not pose and (dimensions == 2 or len(rows[0]) < 8)):
        return None
    shape = f"[{extra // dimensions}, {dimensions}]"
    holds = f"has a box and {extra // dimensions} keypoints of x, y{' and visibility' if dimensions == 3 else ''}"
    line = f"kpt_shape: {shape} in {setting.yaml}"
    if pose:
        key = f"kpt_shape is [{setting.rules.keypoints}, {setting.rules.dimensions}]"
        return Cause(f"{case.corrupt}: {holds}; {key}", f"write {line}")
    return Cause(holds, f"take a pose model (model=yolo26n-pose); with {line} others train on the boxes")


def _more_columns(case: _Case) -> Cause | None:
    """What trackers and predictions append, and rotated boxes."""
    rows = case.all_numbers()
    widths = {len(row) for row in rows}
    if widths not in ({6}, {7}):
        return None
    sixth, last = [row[5] for row in rows], [row[-1] for row in rows]
    number, extra = r"[0-9]+(\.0*)?", f"{_BLANKS}{_WORD}"
    if widths == {7}:
        if not all(_are_shares(row[1:5]) for row in rows):
            return None
        if _are_indices(last) and _are_shares(sixth):
            what, extra = "a confidence and a track", f"{_BLANKS}{_WORD}{_BLANKS}{number}"
        elif _are_indices(sixth) and _are_shares(last):
            what, extra = "a track and a confidence", f"{_BLANKS}{number}{_BLANKS}{_WORD}"
        else:
            return None
        what = f"columns 6 and 7 look like {what}"
    elif case.setting.task.label_kind is LabelKind.corners:
        found = f"{case.corrupt}: a box and, perhaps, its angle"
        return Cause(found, "write the four corners: class x1 y1 x2 y2 x3 y3 x4 y4, relative to the image")
    elif all(value % 1 == 0 for value in last):
        what = "column 6 looks like a track or a flag"
    elif _are_shares(last):
        what = "column 6 looks like a confidence (save_conf=true writes one)"
    else:
        return None
    script = rf"s/^[[:space:]]*({_WORD}({_BLANKS}{_WORD}){{4}}){extra}[[:space:]]*$/\1/"
    cure = f"take it out: {case.sed(script)}"
    return Cause(f"{case.corrupt}: {what}" if widths == {6} else what, cure)


def _are_shares(values: Sequence[float]) -> bool:
    return all(0 <= value <= 1 for value in values)


def _are_indices(values: Sequence[float]) -> bool:
    return all(value % 1 == 0 for value in values) and max(values) > 1


def _class_last(case: _Case) -> Cause | None:
    rows = case.all_numbers()
    if {len(row) for row in rows} != {5} or all(row[0] % 1 == 0 for row in rows) or any(row[4] % 1 for row in rows):
        return None
    swapped = r"NF==5 && $1 ~ /^[0-9]*\.[0-9]*[1-9]/ && $5 ~ /^[0-9]+(\.0*)?\r?$/"
    program = f'{swapped} {{sub(/\\r$/, ""); print $5,$1,$2,$3,$4; next}} 1'
    cure = f'for f in {case.folder}/*.txt; do awk {shlex.quote(program)} "$f" > "$f.new" && {_KEEP_AND_TAKE}; done'
    return Cause("has the class in its last column", f"put it first: {cure}")


def _mixed(case: _Case) -> Cause | None:
    if "mix" not in case.corrupt or len(case.values) != 5:
        return None
    x, y, width, height = case.values[1:]
    left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    corners = _joined(case.row[0], (left, top, right, top, right, bottom, left, bottom))
    return Cause(f"{case.corrupt}: this line is a box, others are polygons", f"write the box as a polygon: {corners}")


def _columns(case: _Case) -> Cause | None:
    count = len(case.values)
    if not case.values or ("columns" not in case.corrupt and "odd number" not in case.corrupt):
        return None
    if count == 4 and _are_shares(case.values):
        return Cause(f"{case.corrupt}: the class seems to be missing", f"write it first: {_LINE}")
    return Cause(f"{case.corrupt} ({count} in this line)", f"write {wanted(case.setting)}")


def _no_such_class(case: _Case) -> Cause | None:
    if not case.corrupt.startswith("class "):
        return None
    last = case.setting.rules.classes - 1
    return Cause(case.corrupt, f"write 0 … {last} there, or add the class to names: in {case.setting.yaml}")


def _pixels(case: _Case) -> Cause | None:
    values = case.values[1:]
    if "not relative" not in case.corrupt or not values or max(values) <= _NEAR:
        return None
    height, width = case.shape()
    if max(value for row in case.all_numbers() for value in row[1:]) <= _PERCENT < min(height, width):
        rule = "divide by 100 (per cent), or by width and height of the image"
        return Cause(f"{case.corrupt}: per cent, or pixels", rule)
    rule = "divide x and width by the width of the image{}, y and height by its height{}"
    if not width:
        return Cause(f"{case.corrupt}: pixels", rule.format("", ""))
    rule = rule.format(f" ({width})", f" ({height})")
    readings = "" if len(values) != 4 else _readings(case.row[0], values, (height, width))
    return Cause(f"{case.corrupt}: pixels of an image of {width} x {height}", rule + readings)


def _readings(kind: str, values: Sequence[float], shape: tuple[int, int]) -> str:
    """The line as it should be, for each meaning of four numbers in pixels that lies in the image."""
    (height, width), (a, b, c, d) = shape, values
    meanings = {
        "if it is left, top, right, bottom": (a, b, c, d),
        "if it is centre, width and height": (a - c / 2, b - d / 2, a + c / 2, b + d / 2),
        "if it is left, top, width and height": (a, b, a + c, b + d),
    }
    lines = [
        f"{meaning}: {_boxed(kind, left / width, top / height, right / width, bottom / height)}"
        for meaning, (left, top, right, bottom) in meanings.items()
        if 0 <= left < right <= width and 0 <= top < bottom <= height
    ]
    return "".join(f"\n    {line}" for line in lines)


def _outside_image(case: _Case) -> Cause | None:
    """A box a little over the edge, or a coordinate below 0: the whole image is left out because of it."""
    values = case.values[1:]
    if not values or not ("not relative" in case.corrupt or "negative" in case.corrupt):
        return None
    found = f"{case.corrupt}; the image ends at 0 and 1 (−0.01 and 1.01 are taken)"
    if len(values) == 4 and min(values[2:]) >= 0:
        if overlap_inside(values) > 0:
            clipped = inside(case.row, polygon=False)
            return Cause(found, f"write the part that is in the image: {clipped}")
    elif case.setting.task.label_kind is not LabelKind.keypoints and len(values) % 2 == 0 and len(values) >= 6:
        clipped = inside(case.row, polygon=True)
        shown = clipped if len(clipped) < 120 else f"{clipped[:110]} …"
        return Cause(found, f"write the part that is in the image: {shown}")
    return Cause(found, f"write {wanted(case.setting)}, from 0 to 1")


def _boxed(kind: str, left: float, top: float, right: float, bottom: float) -> str:
    return _joined(kind, ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top))


def _joined(kind: str, values: Sequence[float]) -> str:
    return " ".join([kind, *(f"{value:.6g}" for value in values)])


def _numbers(words: Sequence[str]) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in words)
    except ValueError:
        return ()


_RECOGNISERS: tuple[Callable[[_Case], Cause | None], ...] = (
    *(_markup, _commas, _dota, _kitti, _class_names, _text),
    *(_keypoints, _more_columns, _class_last, _mixed, _columns, _no_such_class, _pixels, _outside_image),
)
