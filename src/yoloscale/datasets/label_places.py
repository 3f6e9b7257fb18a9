"""Where a dataset's labels are if they are not where training reads them, and how to bring them there."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from yoloscale.datasets.check.images import companion
from yoloscale.datasets.file_kinds import is_image
from yoloscale.datasets.label_formats import Cause

_LOOKED_AT = 50_000  # files below the dataset's folder
_SAMPLE = 50  # images whose labels are looked for
_SPLITS = ("train", "val", "valid", "validation", "test")  # as folders are called
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
_LABEL = "one .txt file an image: class x y width height, relative"
_EXPORT = f"export the labels again in the format YOLO, or write {_LABEL}"


@dataclass(frozen=True)
class _Question:
    """Images without labels, and the file that would be the label of each."""

    root: Path
    images: tuple[Path, ...]
    expected: tuple[Path, ...]


def find(root: Path, images: Sequence[str], expected: Sequence[str]) -> Cause:
    """Why none of `images` has its label file of `expected` (same order): what lies below `root` instead."""
    chosen = range(0, len(images), max(len(images) // _SAMPLE, 1))
    question = _Question(root, tuple(Path(images[i]) for i in chosen), tuple(Path(expected[i]) for i in chosen))
    files = [file for file in islice(_files(root), _LOOKED_AT) if not file.name.startswith(".")]
    files = _without_labels_of_others(question, files)
    for look in (_elsewhere, _named_otherwise, _other_formats, _other_names):
        if cause := look(question, files):
            return cause
    return Cause(f"there is no {question.expected[0]}", "put a .txt file of that name for each image")


def _files(root: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names))


def _without_labels_of_others(question: _Question, files: list[Path]) -> list[Path]:
    """`files` but for the labels of images that are not asked for: those of another split, called alike."""
    others = {companion(str(file), "labels", "") for file in files if is_image(file.name)}
    others -= {str(path.with_suffix("")) for path in question.expected}

    def reads(file: Path) -> str:  # the path without suffixes, also of `a.jpg.txt`
        name = file.with_suffix("")
        return str(name.with_suffix("") if is_image(name.name) else name)

    return [file for file in files if file.suffix.lower() != ".txt" or reads(file) not in others]


def _elsewhere(question: _Question, files: list[Path]) -> Cause | None:
    by_stem: dict[str, list[Path]] = {}
    for file in files:
        if file.suffix == ".txt":
            by_stem.setdefault(file.stem, []).append(file)
    number = next((i for i, image in enumerate(question.images) if image.stem in by_stem), None)
    if number is None:
        return None
    image, expected = question.images[number], question.expected[number]
    label = max(by_stem[image.stem], key=lambda file: len({*file.parts} & {*image.parent.parts}))  # of the same split
    lie = f"the label of {image} is {label}; training reads {expected}"
    in_images = "images" in image.parent.parts
    if not in_images and (named := _unlike(image.parent, label.parent)):
        images, labels = named
        moves = [_move(images, images.with_name("images"))]
        if labels.name != "labels":
            moves.append(_move(labels, labels.with_name("labels")))
        why = f"{lie}: labels/ is read for images below a folder images/, and this one is called {images.name}/"
        return Cause(why, f"{' && '.join(moves)}, and write images in place of {images.name} in the YAML too")
    rule = "the folder images in the path becomes labels" if in_images else "the path has no folder images"
    target, source = shlex.quote(str(expected.parent)), shlex.quote(str(label.parent))
    if label.parent == image.parent:
        return Cause(f"{lie} ({rule})", f"mkdir -p {target} && mv {source}/*.txt {target}")
    here = shlex.quote(str(image.parent))
    loop = f'for i in {here}/*; do n=$(basename "${{i%.*}}"); mv {source}/"$n".txt {target}; done'
    return Cause(f"{lie} ({rule})", f"mkdir -p {target} && {loop}")


def _unlike(images: Path, labels: Path) -> tuple[Path, Path] | None:
    """The one folder in which two paths of the same depth differ, in both, where it can be called images and labels."""
    if len(images.parts) != len(labels.parts):
        return None
    differ = [i for i, (a, b) in enumerate(zip(images.parts, labels.parts, strict=True)) if a != b]
    if len(differ) != 1:
        return None
    depth = differ[0] + 1
    folder, other = Path(*images.parts[:depth]), Path(*labels.parts[:depth])
    occupied = folder.with_name("images").exists() or (other.name != "labels" and other.with_name("labels").exists())
    return None if occupied or folder.name.lower() in _SPLITS else (folder, other)


def _move(old: Path, new: Path) -> str:
    return f"mv {shlex.quote(str(old))} {shlex.quote(str(new))}"


def _named_otherwise(question: _Question, files: list[Path]) -> Cause | None:
    """`a.jpg.txt`, `a.TXT`, `A.txt` for `a.jpg`."""
    exact, loose = {file.name: file for file in files}, {file.name.lower(): file for file in files}
    for image, expected in zip(question.images, question.expected, strict=True):
        if found := exact.get(f"{image.name}.txt"):
            folder, end = shlex.quote(str(found.parent)), f"{image.suffix}.txt"
            cure = f'for f in {folder}/*{end}; do mv "$f" "${{f%{end}}}.txt"; done'
            return Cause(f"the label of {image.name} is called {found}; training reads {expected}", cure)
        if found := loose.get(f"{image.stem}.txt".lower()):
            why = f"{found} is spelt otherwise than {expected}, which training reads"
            if found.with_suffix(".txt") != expected:
                return Cause(why, f"{_move(found, expected)}, and so on")
            end = f"{shlex.quote(str(found.parent))}/*{found.suffix}"
            return Cause(why, f'for f in {end}; do mv "$f" "${{f%{found.suffix}}}.txt"; done')
    return None


def _other_formats(question: _Question, files: list[Path]) -> Cause | None:
    stems = {image.stem for image in question.images}
    for file in files:
        kind, cure = _annotation(file, file.stem in stems)
        if kind:
            return Cause(f"there is no {question.expected[0]}, but {file}, which {kind}", cure)
    for file in files:
        if file.suffix.lower() in _ARCHIVES and ("label" in file.name.lower() or "annotation" in file.name.lower()):
            return Cause(f"there is no {question.expected[0]}, but the archive {file}", "unpack it there")
    return None


def _annotation(file: Path, of_image: bool) -> tuple[str, str]:
    """What format of labels a file has, and what to do with it; empty if none is known."""
    suffix = file.suffix.lower()
    if suffix not in (".json", ".xml", ".csv"):
        return "", ""
    try:
        with file.open("rb") as opened:
            start, end = opened.read(1 << 16), b""
            if suffix == ".json" and file.stat().st_size > 1 << 17:
                opened.seek(-(1 << 16), os.SEEK_END)
                end = opened.read()
    except OSError:
        return "", ""
    text = start + end
    if suffix == ".json" and b'"annotations"' in text and b'"images"' in text:
        call = f"convert_coco({str(file.parent)!r}, use_segments=False, cls91to80=False)"
        program = f"from ultralytics.data.converter import convert_coco; {call}"
        cure = (
            f"python -c {shlex.quote(program)} writes coco_converted/labels/{file.stem.replace('instances_', '')}/ "
            "(use_segments=True for masks; class = category_id − 1): move its files to where the labels belong"
        )
        return "is of the format COCO", cure
    if suffix == ".json" and of_image:
        return ("is of the format LabelMe" if b'"shapes"' in text else "is JSON"), _EXPORT
    if suffix == ".xml" and b"<annotation" in text and (of_image or b"<bndbox>" in text):
        return "is of the format Pascal VOC", _EXPORT
    heading = text.partition(b"\n")[0].lower()
    if suffix == ".csv" and any(word in heading for word in (b"xmin", b"x_min", b"bbox", b"x1")):
        return "is a table of boxes", _EXPORT
    return "", ""


def _other_names(question: _Question, files: list[Path]) -> Cause | None:
    """A folder of label files of which none is called as an image."""
    folder = question.expected[0].parent
    there = [file for file in files if file.parent == folder and file.suffix == ".txt"]
    if not there:
        return None
    found = f"{folder} holds {len(there)} .txt files, none of them called as an image: the first is {there[0].name}"
    return Cause(found, f"call each as its image: {question.expected[0].name} for {question.images[0].name}")
