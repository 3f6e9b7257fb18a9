"""What in the images and labels of a split makes training impossible, with file, line and cure."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from yoloscale.config.schema import LabelKind
from yoloscale.datasets import label_places
from yoloscale.datasets.check import images as check_images
from yoloscale.datasets.check.verdict import ImageCheck
from yoloscale.datasets.file_kinds import other_file, read_head
from yoloscale.datasets.label_formats import Cause, Setting, explain, from_utf16, inside, subtract_one
from yoloscale.errors import Problem

_NAMED_CAUSES = 3
_NAMED_FOLDERS = 8
_RARE = 0.1  # of the label files that a class has in the mean


def problems_of_splits(judged: Mapping[str, Sequence[ImageCheck]], setting: Setting, root: Path) -> list[Problem]:
    """Fatal problems of the splits of the dataset below `root`."""
    every = [verdict for verdicts in judged.values() for verdict in verdicts]
    from_one = _counted_from_one(every, setting.rules.classes)
    problems = [_from_one(every, setting)] if from_one else []
    for split, verdicts in judged.items():
        if not (from_one and _outside(verdicts)):
            problems += problems_of_split(split, verdicts, setting, root)
    return problems


def problems_of_split(split: str, verdicts: Sequence[ImageCheck], setting: Setting, root: Path) -> list[Problem]:
    """Fatal problems of a split of the dataset below `root`."""
    key, kind = f"data.{split}", setting.task.label_kind
    good = [verdict for verdict in verdicts if not verdict.skipped]
    if not good:
        return list(_none_left(key, verdicts, setting))
    if split == "train" and kind is not LabelKind.folders and (cause := _why_no_labels(good, root)):
        return [Problem(key, f"no image has a label file: {cause.found}", cause.cure)]
    boxes = [v.label_file for v in good if v.labels and v.labels.objects and not v.labels.polygons]
    if not boxes or kind not in (LabelKind.polygons, LabelKind.corners, LabelKind.masks):
        return []
    form, line = "polygons", "class x1 y1 x2 y2 x3 y3 …"
    if kind is LabelKind.corners:
        form, line = "four corners", "class x1 y1 … x4 y4"
    found = f"{len(boxes)} label files hold boxes, not {form}; the first is {boxes[0]}"
    instead = f"the task {setting.task.value} needs {form}: {line}; with boxes take a detection model"
    return [Problem(key, found, instead)]


def without_labels(split: str, verdicts: Sequence[ImageCheck], root: Path) -> list[Problem]:
    """That an evaluated split has no label file at all, which training alone takes, and where they are."""
    good = [verdict for verdict in verdicts if not verdict.skipped]
    if split == "train" or not good or not (cause := _why_no_labels(good, root)):
        return []
    found = f"no image of {split} has a label file, so that its metrics are 0: {cause.found}"
    return [Problem(f"data.{split}", found, cause.cure)]


def _why_no_labels(good: Sequence[ImageCheck], root: Path) -> Cause | None:
    if any(verdict.labels is not None for verdict in good):
        return None
    return label_places.find(root, [v.image for v in good], [v.label_file for v in good])


def commonest_cause(verdicts: Sequence[ImageCheck], setting: Setting) -> str:
    """How most of the skipped images of a split are mended; empty if none is skipped or it is not known."""
    groups = _by_reason([verdict for verdict in verdicts if verdict.skipped])
    if not groups:
        return ""
    cause = _cause(groups[0][0], setting)
    return f"{cause.found}: {cause.cure}" if cause.cure else ""


def edge_example(verdicts: Sequence[ImageCheck]) -> str:
    """Where the first box over the edge is, and what to write there; empty if there is none."""
    for verdict in verdicts:
        if verdict.labels and (number := verdict.labels.edges.line):
            words = Path(verdict.label_file).read_text(encoding="utf-8-sig").splitlines()[number - 1].split()
            line = inside(words, polygon=verdict.labels.polygons)
            return f"write {line} in {verdict.label_file} line {number}, and so on"
    return ""


def _outside(verdicts: Sequence[ImageCheck]) -> list[ImageCheck]:
    return [verdict for verdict in verdicts if verdict.labels and verdict.labels.outside]


def _counted_from_one(verdicts: Sequence[ImageCheck], count: int) -> bool:
    """Whether it is no slip in some files, which are left out: what else there is has the wrong names, too.

    Of all splits: one alone may lack class 0. The class behind the last is in more than one file, and no rarity among
    the classes that are used.
    """
    outside = _outside(verdicts)
    kinds = {verdict.labels.outside[1] for verdict in outside if verdict.labels and verdict.labels.outside}
    used = {index for verdict in verdicts if verdict.labels for index in verdict.labels.per_class}
    if kinds != {count} or count < 2 or 0 in used or any(v.labels.lowest < 1 for v in outside if v.labels):
        return False
    labelled = len(outside) + sum(bool(verdict.labels and verdict.labels.per_class) for verdict in verdicts)
    return len(outside) > 1 and len(outside) * len(used | kinds) > _RARE * labelled


def _from_one(verdicts: Sequence[ImageCheck], setting: Setting) -> Problem:
    first = _outside(verdicts)[0]
    assert first.labels is not None
    assert first.labels.outside is not None
    line, kind = first.labels.outside
    place = f"{first.label_file} line {line}"
    found = f"the classes of all labels run from 1: {place}: class {kind}; names ends at {kind - 1}"
    instead = f"add a class before the others in {setting.yaml}, or subtract one from the class of each line"
    folders = sorted({str(Path(verdict.label_file).parent) for verdict in verdicts if verdict.labels})
    if len(folders) <= _NAMED_FOLDERS:
        instead = f"{instead}: {subtract_one(folders)}"
    return Problem("data", found, instead)


def _none_left(key: str, verdicts: Sequence[ImageCheck], setting: Setting) -> Iterator[Problem]:
    groups = _by_reason(verdicts)
    for group in groups[:_NAMED_CAUSES]:
        cause, first = _cause(group[0], setting), group[0]
        line = f" line {first.labels.line}" if first.labels and first.labels.line else ""
        file = first.label_file if first.labels and first.labels.corrupt else first.image
        part = "" if len(groups) == 1 else f", {len(group)} because of this"
        found = f"none of the {len(verdicts)} images can be used{part}: {file}{line}: {cause.found}"
        yield Problem(key, found, cause.cure or "replace these files by images that open")


def _by_reason(verdicts: Sequence[ImageCheck]) -> list[list[ImageCheck]]:
    """Skipped images of one reason together, the commonest first."""
    groups: dict[str, list[ImageCheck]] = {}
    for verdict in verdicts:
        reason = re.sub(r"'[^']*'|/\S*|[-\d.]+", "#", verdict.skipped)
        groups.setdefault(reason, []).append(verdict)
    return sorted(groups.values(), key=len, reverse=True)


def _cause(verdict: ImageCheck, setting: Setting) -> Cause:
    labels = verdict.labels
    if labels is None or not labels.corrupt:
        try:
            other = other_file(verdict.image, read_head(verdict.image))
        except OSError:
            other = None
        return Cause(verdict.skipped, other.cure if other else "")
    try:
        text = Path(verdict.label_file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, UnicodeDecodeError) and error.object[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return Cause("is UTF-16, as programs on Windows write it, not UTF-8", from_utf16(verdict.label_file))
        return Cause(f"cannot be read: {error}", "write it anew as UTF-8 text, or delete it")

    def shape() -> tuple[int, int]:
        try:
            return check_images.open_image(verdict.image).shape
        except OSError:
            return 0, 0

    return explain(verdict.label_file, text, labels.line, labels.corrupt, setting, shape)
