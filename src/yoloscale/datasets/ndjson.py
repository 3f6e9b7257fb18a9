"""A dataset in Ultralytics' NDJSON: a line that describes it, then a line for each image; written as folders.

The same files as `convert_ndjson_to_yolo` of Ultralytics writes, without the package aiohttp, which that installs; a
test compares. Images come from their addresses, or from PATH/images/SPLIT/FILE if the first line has a `path`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from yoloscale.config.addresses import without_secrets
from yoloscale.config.schema import LabelKind, Task
from yoloscale.datasets.download import DownloadError, download
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.remarks import Say

_SPLITS = ("train", "val", "test")
_DROPPED = {"type", "class_names", "path", "download", *_SPLITS}  # of the first line; `download` could run code
_THREADS = 32
_NAMED = 5
_EXPORT = "export the dataset again, from where it came"


@dataclass(frozen=True)
class _Image:
    """One image, and the files it makes, relative to the folder of the dataset."""

    line: int
    split: str
    source: str | Path  # address, or file
    target: str
    label: tuple[str, str] | None  # file and text
    depth: tuple[str, str] | None = None  # address and file


@dataclass(frozen=True)
class Ndjson:
    """What an NDJSON file says."""

    task: Task
    images: tuple[_Image, ...]
    description: tuple[str, dict[str, Any]]  # file and content of the YAML
    remark: str = ""


def read(file: Path) -> Ndjson:
    """Read an NDJSON file; nothing is fetched. Raises ConfigError with file and line."""
    numbered = list(_lines(file))
    if len(numbered) < 2:
        raise _wrong(file, 1, "describes no images")
    (_, header), records = numbered[0], numbered[1:]
    if "file" in header:
        raise _wrong(
            file, 1, "is an image; the first line describes the dataset", 'write {"type": "dataset", …} before'
        )
    word = str(header.get("task", "detect"))
    if word not in Task.__members__:
        raise _wrong(file, 1, f"has the task {word!r}", f"write one of {', '.join(Task.__members__)}")
    task = Task[word]
    if task.label_kind is LabelKind.folders:
        return _classes(file, header, records)
    evaluated, remark = _split_off_val(file, records)
    images = [
        _image(file, header, record, line=number, index=index, task=task, drawn=index - 1 in evaluated)
        for index, (number, record) in enumerate(records, 1)
    ]
    content = _description(file, header, [record for _, record in records], task)
    content |= {split: f"images/{split}" for split in _SPLITS if any(image.split == split for image in images)}
    return Ndjson(task, tuple(images), ("data.yaml", content), remark)


def write(dataset: Ndjson, folder: Path, say: Say) -> None:
    """Write the dataset into `folder`; images that are there already, from an attempt before, are kept.

    Raises ConfigError if an image cannot be had; then the others stay.
    """
    for image in dataset.images:
        files = [image.target, *([image.depth[1]] if image.depth else []), *([image.label[0]] if image.label else [])]
        for parent in {(folder / file).parent for file in files}:
            parent.mkdir(parents=True, exist_ok=True)
        if image.label:
            (folder / image.label[0]).write_text(image.label[1], encoding="utf-8")
    failed = []
    with ThreadPoolExecutor(_THREADS) as pool:
        reasons = pool.map(lambda image: _fetch(image, folder), dataset.images)
        for done, (image, reason) in enumerate(zip(dataset.images, reasons, strict=True), start=1):
            if reason:
                failed.append(f"line {image.line}: {reason}")
            if done % 1000 == 0:
                say(f"{done} of {len(dataset.images)} images")
    if failed:
        found = f"{len(failed)} of {len(dataset.images)} images cannot be had: {'; '.join(failed[:_NAMED])}"
        instead = "the same command again fetches these only; addresses that have expired need a new export"
        raise ConfigError(Problem("data", found, instead))
    name, content = dataset.description
    (folder / name).write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with file.open(encoding="utf-8-sig") as opened:
            for number, line in enumerate(opened, start=1):
                if not line.strip():
                    continue
                content = json.loads(line.rstrip())
                if not isinstance(content, dict):
                    raise _wrong(file, number, f"holds {type(content).__name__}, not an object {{…}}")
                yield number, content
    except json.JSONDecodeError as error:
        whole = " (a JSON file of many lines is no NDJSON)" if number == 1 else ""
        raise _wrong(file, number, f"is no JSON: {error.msg} in column {error.colno}{whole}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(Problem("data", f"{file} is no text: {error.reason}", _EXPORT)) from error


def _split_off_val(file: Path, records: list[tuple[int, dict[str, Any]]]) -> tuple[set[int], str]:
    """As Ultralytics: without a split val, a tenth of train, drawn with a fixed seed, becomes one.

    Returns the positions of its records, and what to say.
    """
    splits = [_place(file, number, record)[0] for number, record in records]
    if "val" in splits:
        return set(), ""
    train = [position for position, split in enumerate(splits) if split == "train"]
    if len(train) < 2:
        raise _wrong(file, 1, f"has {len(train)} images in train and none in val", "give images both splits")
    random.Random(0).shuffle(train)
    chosen = train[: max(1, len(train) // 10)]
    remark = f"{file.name} has no split val: {len(chosen)} of {len(train)} images of train are evaluated instead"
    return set(chosen), remark


def _image(
    file: Path, header: Mapping[str, Any], record: Mapping[str, Any], *, line: int, index: int, task: Task, drawn: bool
) -> _Image:
    """What a record makes; `index` counts images from 1, `drawn`: from train for val."""
    split_of_file, name = _place(file, line, record)
    split = "val" if drawn else split_of_file
    target = _target(record, name, index)
    stem = target.rpartition(".")[0]
    source: str | Path = str(record.get("url") or "")
    if header.get("path") and task.label_kind is not LabelKind.depth:
        source = (file.parent / str(header["path"]) / "images" / split_of_file / name).resolve()
        if name != Path(name).name:
            raise _wrong(file, line, f"names {name!r}", "write the name of the file alone: path: has its folder")
    elif not source:
        instead = 'add its address, "url": "https://…", or "path" to the first line (PATH/images/SPLIT/FILE)'
        raise _wrong(file, line, f"has no url for {name}", instead)
    if task.label_kind is LabelKind.depth:
        depth = record.get("depth")
        if not isinstance(depth, dict) or not depth.get("url"):
            raise _wrong(file, line, "has no depth map", 'add "depth": {"url": "https://…"}')
        depth_map = depth["url"], f"depth/{split}/{stem}.png"
        return _Image(line, split, source, f"images/{split}/{target}", None, depth_map)
    first: list[list[Any]] = next(iter((record.get("annotations") or {}).values()), [])
    rows = [" ".join(map(str, row)) for row in first]
    label = (f"labels/{split}/{stem}.txt", "".join(f"{row}\n" for row in rows))
    return _Image(line, split, source, f"images/{split}/{target}", label)


def _place(file: Path, number: int, record: Mapping[str, Any]) -> tuple[str, str]:
    split, name = record.get("split"), record.get("file")
    if split not in _SPLITS:
        raise _wrong(file, number, f"has the split {split!r}", "write train, val or test")
    if not isinstance(name, str) or not name:
        raise _wrong(file, number, f"has the file {name!r}", "write the name of the image")
    return split, name


def _target(record: Mapping[str, Any], name: str, index: int) -> str:
    """Ultralytics' name: the number of the image, after a content hash if there is one."""
    stems = (Path(without_secrets(str(record.get("url") or ""))).stem, Path(name).stem)
    content = next((s.lower() for s in stems if len(s) == 32 and all(c in "0123456789abcdef" for c in s)), None)
    suffix = name.rsplit(".", 1)[-1]
    return f"{f'{content}_{index}' if content else index}.{suffix if suffix.isalnum() and len(suffix) <= 10 else 'jpg'}"


def _description(file: Path, header: dict[str, Any], records: list[dict[str, Any]], task: Task) -> dict[str, Any]:
    if task.label_kind is LabelKind.depth:
        return {"task": "depth", "nc": 1, "names": {0: "depth"}, "depth_scale": header.get("depth_scale", 1000)}
    content = {key: value for key, value in header.items() if key not in _DROPPED}
    names = {int(key): value for key, value in (header.get("class_names") or {}).items()}
    rows = [row for record in records for rows in (record.get("annotations") or {}).values() for row in rows if row]
    largest = max({int(row[0]) for row in rows} | set(names), default=-1)
    if names:
        content["names"] = {index: names.get(index, f"class{index}") for index in range(largest + 1)}
    elif largest >= 0:
        content["nc"] = largest + 1
    if task.label_kind is LabelKind.keypoints and "kpt_shape" not in header:
        content["kpt_shape"] = _keypoints(file, records)
    return content


def _keypoints(file: Path, records: list[dict[str, Any]]) -> list[int]:
    rows = [row[5:] for record in records for row in (record.get("annotations") or {}).get("pose", []) if len(row) > 5]
    counts = {len(row) for row in rows[:50]}
    count = counts.pop() if len(counts) == 1 else 0
    if count and count % 3 == 0 and all(value in (0, 1, 2) for row in rows[:50] for value in row[2::3]):
        return [count // 3, 3]
    if count and count % 2 == 0 and count % 3:
        return [count // 2, 2]
    raise _wrong(file, 1, "has no kpt_shape, and the labels do not tell it", 'add "kpt_shape": [keypoints, 3]')


def _classes(file: Path, header: Mapping[str, Any], records: list[tuple[int, dict[str, Any]]]) -> Ndjson:
    """Folders are numbers, as the names of classes may be none for folders; a hidden YAML has the names."""
    labelled = [(number, r) for number, r in records if (r.get("annotations") or {}).get("classification")]
    if not labelled:
        raise _wrong(file, 2, "and all others have no class", 'label them: "annotations": {"classification": [0]}')
    kinds = {number: record["annotations"]["classification"][0] for number, record in labelled}
    for number, kind in kinds.items():
        if not isinstance(kind, int):
            raise _wrong(file, number, f"has the class {kind!r}", "write its number in class_names")
    folders = {kind: f"{index:06d}" for index, kind in enumerate(sorted(set(kinds.values())))}
    names = {int(key): value for key, value in (header.get("class_names") or {}).items()}
    images = []
    for index, (number, record) in enumerate(labelled, 1):
        split, name = _place(file, number, record)
        if not record.get("url"):
            raise _wrong(file, number, f"has no url for {name}", 'add its address, "url": "https://…"')
        target = f"{split}/{folders[kinds[number]]}/{_target(record, name, index)}"
        images.append(_Image(number, split, str(record["url"]), target, None))
    content = {"names": {i: names.get(kind, str(kind)) for i, kind in enumerate(folders)}}
    left_out = len(records) - len(labelled)
    remark = f"{left_out} images of {file.name} have no class and are left out" if left_out else ""
    return Ndjson(Task.classify, tuple(images), (".ndjson.yaml", content), remark)


def _fetch(image: _Image, folder: Path) -> str:
    """Bring an image, and its depth map, into the folder; why that failed, empty if it did not."""
    files = [(image.source, image.target), *([image.depth] if image.depth else [])]
    for source, name in files:
        target = folder / name
        if target.exists():
            continue
        try:
            if isinstance(source, Path):
                if not source.is_file():
                    return f"there is no {source}"
                target.unlink(missing_ok=True)
                target.symlink_to(source)
            else:
                download(source, target)
        except (DownloadError, OSError) as error:
            return str(error)
    return ""


def _wrong(file: Path, line: int, found: str, instead: str = _EXPORT) -> ConfigError:
    return ConfigError(Problem("data", f"{file} line {line} {found}", instead))
