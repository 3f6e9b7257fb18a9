"""Keypoint keys of a dataset YAML: their values, not only their lengths; only pose reads most of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from yoloscale.config.schema import LabelKind, Task
from yoloscale.datasets.yaml_marks import MarkedYaml
from yoloscale.errors import Problem

_SHAPE = "write [number of keypoints, 2 or 3], as in kpt_shape: [17, 3]"
_LIST_INDICES = "list in flip_idx the index that each keypoint gets by mirroring"
_SHOWN = 5  # pairs of a list that are named
_TRIED = 150  # keypoints of a list that is mended by changing one entry
_SIDES = {"left": "right", "right": "left", "l": "r", "r": "l"}


def problems(marked: MarkedYaml, task: Task, flips: bool) -> list[Problem]:
    """What keeps this task from training. `flips`: whether the run mirrors images, which is what reads flip_idx."""
    content = marked.content
    if task.label_kind is not LabelKind.keypoints:
        return _problems_of_other_tasks(marked)
    shape = content.get("kpt_shape")
    place = marked.place("kpt_shape")
    if shape is None:
        instead = "add kpt_shape: [number of keypoints, 3], or take a model of another task"
        is_empty = "kpt_shape" in content
        found = f"{place}: is empty" if is_empty else f"missing in {marked.file}; the task is pose"
        return [Problem("data.kpt_shape", found, instead)]
    if not _is_shape(shape):
        return [Problem("data.kpt_shape", f"{place}: is {shape}", _SHAPE)]
    result = _problems_of_sigmas(marked, shape[0])
    if "flip_idx" in content and (problem := _problem_of_flip(marked, shape[0], flips)):
        result.append(problem)
    return result


def remarks(marked: MarkedYaml, task: Task, flips: bool) -> list[str]:
    """What training with these keypoints does that nobody wrote."""
    shape = marked.content.get("kpt_shape")
    if task.label_kind is not LabelKind.keypoints or shape is None or not _is_shape(shape):
        return []
    result = []
    if flips and not marked.content.get("flip_idx"):
        what = "flip_idx is empty" if "flip_idx" in marked.content else "has no flip_idx"
        indices = _by_names(marked.content, shape[0])
        cure = f"write flip_idx: {indices}" if indices else _LIST_INDICES
        why = "fliplr and flipud are switched off, as Ultralytics does; to have them,"
        result.append(f"{marked.place('flip_idx')}: {what}: {why} {cure}")
    names = marked.content.get("kpt_names")
    counts = [len(each) for each in names.values() if isinstance(each, list)] if isinstance(names, dict) else []
    if wrong := [count for count in counts if count != shape[0]]:
        line = marked.place("kpt_shape").rpartition(":")[2]
        found = f"kpt_names has {wrong[0]} names for {shape[0]} keypoints (kpt_shape, line {line})"
        result.append(f"{marked.place('kpt_names')}: {found}")
    return result


def _problems_of_other_tasks(marked: MarkedYaml) -> list[Problem]:
    """Ultralytics takes kpt_shape apart whatever the task, and drops that many columns from label lines."""
    if "kpt_shape" not in marked.content:
        return []
    shape = marked.content["kpt_shape"]
    if _is_pair(shape):
        return []
    found = f"{marked.place('kpt_shape')}: is {'empty' if shape is None else shape}"
    return [Problem("data.kpt_shape", found, "leave the line out, or write [number of keypoints, 2 or 3]")]


def _is_whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_whole, value))


def _is_shape(shape: Any) -> bool:
    return _is_pair(shape) and shape[0] > 0 and shape[1] in (2, 3)


def _problems_of_sigmas(marked: MarkedYaml, count: int) -> list[Problem]:
    sigmas = marked.content.get("kpt_oks_sigmas")
    if not sigmas:
        return []
    good = isinstance(sigmas, list) and len(sigmas) == count
    if good and all(isinstance(value, (int, float)) and value > 0 for value in sigmas):
        return []
    found = f"{marked.place('kpt_oks_sigmas')}: is {sigmas}"
    return [Problem("data.kpt_oks_sigmas", found, f"write {count} positive numbers, or leave the line out")]


def _problem_of_flip(marked: MarkedYaml, count: int, flips: bool) -> Problem | None:
    flip, place = marked.content["flip_idx"], marked.place("flip_idx")
    if flip == []:
        return None
    if not isinstance(flip, list):
        what = "is empty" if flip is None else f"is {flip!r}, not a list"
        return Problem("data.flip_idx", f"{place}: {what}", f"write {count} indices, or leave the line out")
    wrong = _wrong_length(flip, count) or (_wrong_values(flip, count) if flips else None)
    if wrong is None:
        return None
    instead = (
        f"write each of 0 … {count - 1} once, a left keypoint's index where the right one stands and the other way "
        "round, its own index where a keypoint has no partner; or leave the line out (no flips then)"
    )
    if indices := _proposal(flip, count) or _by_names(marked.content, count):
        instead = f"write flip_idx: {indices}"
    shown = f"[{', '.join(map(str, flip[:20]))}{', …' if len(flip) > 20 else ''}]"
    return Problem("data.flip_idx", f"{place}: is {shown}: {wrong}", instead)


def _wrong_length(flip: Sequence[Any], count: int) -> str | None:
    if flip and all(isinstance(pair, list) for pair in flip):
        return f"a list of pairs, not one index for each of the {count} keypoints"
    return None if len(flip) == count else f"{len(flip)} entries for {count} keypoints (kpt_shape)"


def _wrong_values(flip: Sequence[Any], count: int) -> str | None:
    if other := [value for value in flip if not _is_whole(value)]:
        return f"{other[0]!r} is no index"
    if sorted(flip) == list(range(1, count + 1)):
        return "indices that begin at 1; they are counted from 0"
    if outside := [value for value in flip if not 0 <= value < count]:
        return f"{outside[0]} is no keypoint of 0 … {count - 1}"
    if sorted(flip) != list(range(count)):
        twice = sorted({value for value in flip if flip.count(value) > 1})
        absent = sorted(set(range(count)) - set(flip))
        return f"{_listed(twice)} more than once, {_listed(absent)} not at all"
    pairs = [f"{index} becomes {to}, but {to} becomes {flip[to]}" for index, to in enumerate(flip) if flip[to] != index]
    if not pairs:
        return None
    more = f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
    return f"mirroring twice must lead back: {'; '.join(pairs[:_SHOWN])}{more}"


def _proposal(flip: list[Any], count: int) -> list[int] | None:
    """The list that was meant, where only one can have been."""
    if flip and all(map(_is_pair, flip)):
        first = 1 if max(map(max, flip)) == count else 0
        full = list(range(count))
        for one, other in flip:
            if not (0 <= one - first < count and 0 <= other - first < count):
                return None
            full[one - first], full[other - first] = other - first, one - first
        return full if _wrong_values(full, count) is None else None
    if len(flip) != count or count > _TRIED or not all(map(_is_whole, flip)):
        return None
    changed = [[value - 1 for value in flip]]
    if sorted(flip) != list(range(1, count + 1)):
        changed = [[*flip[:index], value, *flip[index + 1 :]] for index in range(count) for value in range(count)]
    good = [one for one in changed if _wrong_values(one, count) is None]
    return good[0] if len(good) == 1 else None


def _by_names(content: dict[Any, Any], count: int) -> list[int] | None:
    """The list by the words left and right in the keypoints' names; None where they do not tell."""
    named = content.get("kpt_names")
    first: Any = next(iter(named.values()), []) if isinstance(named, dict) else named
    names = [str(name) for name in first] if isinstance(first, list) else []
    if len(names) != count or len(set(names)) != count:
        return None
    parts = [re.split(r"([\W_]+)", name.lower()) for name in names]
    places = {"".join(part): index for index, part in enumerate(parts)}
    turned = ["".join(_SIDES.get(word, word) for word in part) for part in parts]
    if turned == ["".join(part) for part in parts]:
        return None
    result = [places.get(name, -1) for name in turned]
    return result if _wrong_values(result, count) is None else None


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:_SHOWN])) + (", …" if len(values) > _SHOWN else "")
