"""Where the paths of a dataset YAML lead: why one is not there, what to write, and which of several folders is taken.

`path:` relative: below the working folder if it is there, else below Ultralytics' datasets folder; without `path:` the
folder of the YAML. `../x` alone may also be `x`; an entry of a list may not.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from yoloscale.datasets import image_lists
from yoloscale.datasets.check import images as check_images
from yoloscale.datasets.check.yaml import DatasetYaml
from yoloscale.datasets.file_kinds import IMAGE_SUFFIXES
from yoloscale.datasets.places import EVERYWHERE, WINDOWS, exists, find_tail, near, parts_of, shown, unescaped
from yoloscale.errors import ConfigError, Problem

_STRAY = " \t\r\n'\"`,;"
_LOOKED_AT = 2_000  # files of a folder without images


@dataclass(frozen=True)
class _Given:
    """A path of a split as it is written, and the place that was looked at."""

    key: str
    place: str
    written: str
    path: Path
    in_list: bool


def images(dataset: DatasetYaml, splits: Sequence[str]) -> dict[str, list[str]]:
    """Image files of the splits that are read. Raises ConfigError where one has none."""
    result, problems = dict[str, list[str]](), problems_of_missing(dataset, splits)
    absent = {problem.key for problem in problems}
    bases = (dataset.root, dataset.file.parent, Path.cwd())
    for name in splits:
        key, paths = f"data.{name}", dataset.splits.get(name, ())
        if key in absent or "data.path" in absent:
            continue
        lists = (image_lists.problem_of_list(key, path, bases) for path in paths if path.is_file())
        if wrong := [problem for problem in lists if problem is not None]:
            problems += wrong
        elif files := check_images.list_images(paths):
            result[name] = files
        else:
            problems.append(_no_images(dataset, name, paths[0]))
    if problems:
        raise ConfigError(problems)
    return result


def problems_of_missing(dataset: DatasetYaml, splits: Iterable[str], datasets: Path | None = None) -> list[Problem]:
    """A problem for each path of `splits` that does not exist; one for `path:` where that is what leads astray."""
    paths = [one for split in splits for one in _given(dataset, split)]
    missing = [one for one in paths if not exists(one.path)]
    if not missing:
        return []
    if problem := _problem_of_root(dataset, paths, missing, datasets):
        return [problem]
    return [_problem_of_path(dataset, one, datasets) for one in missing]


def remarks(dataset: DatasetYaml, splits: Iterable[str], datasets: Callable[[], Path | None]) -> list[str]:
    """Which folder is used where several exist, and what is left out of lists of images."""
    splits = list(splits)
    paths = [one for split in splits for one in _given(dataset, split)]
    result = _remarks_on_root(dataset, paths, datasets)
    for one in paths:
        if one.written.startswith("../") and not one.in_list:
            above, beside = (dataset.root / one.written).resolve(), (dataset.root / one.written[3:]).resolve()
            if exists(above) and exists(beside) and above != beside:
                what = f"{one.written} is {above}; {beside} is there too and is not used"
                result.append(f"{one.place}: {what}: for that write {one.key}: {one.written[3:]}")
        if one.path.is_file():
            line = image_lists.remark_on_lines(one.path)
            result += [line] if line else []
    return result


def _given(dataset: DatasetYaml, split: str) -> list[_Given]:
    written = dataset.marked.content.get(split)
    if written is None:
        return []
    key = "validation" if split == "val" and dataset.marked.node("val") is None else split
    paths = dataset.splits.get(split, ())
    if isinstance(written, str):
        return [_Given(key, dataset.marked.place(key), written, path, False) for path in paths]
    entries = enumerate(zip(written, paths, strict=True))
    return [_Given(key, dataset.marked.place(key, index), str(item), path, True) for index, (item, path) in entries]


def _problem_of_root(
    dataset: DatasetYaml, paths: list[_Given], missing: list[_Given], datasets: Path | None
) -> Problem | None:
    """`path:` leads to no folder, or to one where nothing is though another place has all."""
    path = dataset.marked.content.get("path")
    if not path or any(Path(one.written).is_absolute() for one in missing):
        return None
    if len(missing) < len(paths) and exists(dataset.root):
        return None
    relative = [one.written for one in paths]
    base = next((one for one in _bases(dataset, path) if all(exists(one / entry) for entry in relative)), None)
    if base is None and exists(dataset.root):
        return None
    folder = dataset.file.parent
    if WINDOWS.match(path) or "\\" in path:
        what = f"{shown(path)} is a Windows path, which this machine does not have"
    elif exists(dataset.root):
        what = f"{path} is {dataset.root}, where there is no {missing[0].written}"
    elif Path(path).is_absolute():
        what = f"there is no folder {path}"
    else:
        where = f" nor in the datasets folder ({datasets})" if datasets else ""
        what = f"{path} is neither below the working folder ({Path.cwd()}){where}"
    if base == folder:
        instead = f"leave the line path: out: the folder of the YAML, {folder}, is taken then"
    elif base is not None:
        instead = f"write path: {base}"
    elif path.startswith(("~", "$")) or "$" in path:
        instead = f"write the whole path; Ultralytics does not expand {path}"
    else:
        instead = f"write path: and the folder that holds {missing[0].written}, or leave it out for {folder}"
    return Problem("data.path", f"{dataset.marked.place('path')}: {what}", instead)


def _bases(dataset: DatasetYaml, path: str) -> Iterable[Path]:
    folder, parts = dataset.file.parent, parts_of(path)
    expanded = Path(os.path.expandvars(path)).expanduser()
    if expanded != Path(path) and expanded.is_absolute():
        yield expanded
    if path.strip(_STRAY) != path:
        yield (folder / path.strip(_STRAY)).resolve()
    for start in (folder, Path.cwd(), folder.parent):
        for skipped in range(len(parts)):
            yield start.joinpath(*parts[skipped:]).resolve()
    yield from (folder, Path.cwd())


def _problem_of_path(dataset: DatasetYaml, one: _Given, datasets: Path | None) -> Problem:
    key, found = f"data.{one.key}", f"{one.place}: there is no {one.path}"
    stripped, first = one.written.strip(_STRAY), re.split(r"[ #<]", one.written.strip())[0]
    for less, more in ((stripped, "a character too many"), (first, "words that are no path")):
        if less not in ("", one.written) and exists(dataset.root / less):
            found = f"{one.place}: {shown(one.written)} begins or ends with {more}"
            return Problem(key, found, _write(one, less))
    if windows := _windows(one):
        found = f"{one.place}: {windows}"
    expanded = os.path.expandvars(os.path.expanduser(one.written))  # noqa: PTH111  # text, with its slashes
    if expanded != one.written:
        there = " (it is there)" if exists(Path(expanded)) else ""
        return Problem(key, found, f"{_write(one, expanded)}{there}; Ultralytics expands neither ~ nor $")
    if path := _meant(dataset, one, datasets):
        return Problem(key, found, _write(one, path))
    below = "" if Path(one.written).is_absolute() or windows else f", below {dataset.root}"
    return Problem(key, found, f"write the folder of the images, or the .txt file that lists them{below}")


def _windows(one: _Given) -> str | None:
    if any(ord(char) < 32 for char in one.written):
        return f"in {shown(unescaped(one.written))} a backslash between double quotes began an escape"
    if WINDOWS.match(one.written):
        return f"{shown(one.written)} is a Windows path, which this machine does not have"
    return f"{shown(one.written)} has the backslashes of Windows" if "\\" in one.written else None


def _meant(dataset: DatasetYaml, one: _Given, datasets: Path | None) -> str | None:
    """The path that was meant, if it is found: in the dataset first, then in other folders."""
    parts = parts_of(unescaped(one.written))
    inner, outer = (dataset.root, dataset.file.parent), (Path.cwd(), *([datasets] if datasets else []))
    tail = find_tail(parts, inner, shortest=2)
    if tail is None:
        foreign = bool(_windows(one)) or Path(one.written).is_absolute()
        counts = (2, 1) if parts and parts[-1].lower() not in EVERYWHERE else (2,)
        likely = [dataset.root.joinpath(*parts[-count:]) for count in counts if foreign and len(parts) >= count]
        for path in likely if _windows(one) else [one.path, *likely]:
            if other := near(path):
                inside = other.is_relative_to(dataset.root)
                return str(other.relative_to(dataset.root)) if inside else str(other)
        tail = find_tail(parts, outer, shortest=2) or find_tail(parts, (*inner, *outer))
    if tail is None:
        return None
    base, skipped = tail
    return "/".join(parts[skipped:]) if base == dataset.root else str(base.joinpath(*parts[skipped:]))


def _write(one: _Given, path: str) -> str:
    return f"write {path} in this entry" if one.in_list else f"write {one.key}: {path}"


def _no_images(dataset: DatasetYaml, split: str, path: Path) -> Problem:
    key, place = f"data.{split}", dataset.marked.place(split)
    kinds = ", ".join(sorted(IMAGE_SUFFIXES))
    names = list[str]()
    for _, folders, files in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names += [name for name in files if not name.startswith(".")]
        if len(names) > _LOOKED_AT:
            break
    suffixes = Counter(Path(name).suffix.lower() or "no suffix" for name in names)
    held = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(3))
    found = f"{place}: no images in {path}" + (f", which holds {held}" if held else ", which is empty")
    if suffixes.get(".txt") and "labels" in path.parts:
        other = Path(*("images" if part == "labels" else part for part in path.parts))
        if other.is_dir():
            return Problem(key, f"{found}: these are labels", f"write {split}: {other}")
    return Problem(key, found, f"put images there ({kinds})")


def _remarks_on_root(dataset: DatasetYaml, paths: list[_Given], datasets: Callable[[], Path | None]) -> list[str]:
    path = dataset.marked.content.get("path")
    if not path or Path(path).is_absolute():
        return []
    bases = [dataset.file.parent, Path.cwd(), *([folder] if (folder := datasets()) else [])]
    places = dict.fromkeys((base / path).resolve() for base in bases)
    others = [place for place in places if place != dataset.root and any(exists(place / one.written) for one in paths)]
    if not others:
        return []
    rule = "the working folder comes first, then Ultralytics' datasets folder"
    also = f"{' and '.join(map(str, others))} {'is' if len(others) == 1 else 'are'} there too and not used"
    return [f"{dataset.marked.place('path')}: path: {path} is {dataset.root} ({rule}); {also}"]
