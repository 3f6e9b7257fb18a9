"""Text files that list images, one path a line: read as Ultralytics reads them, and what is wrong with them.

A line that begins with `./` is beside the list, any other relative one is below the working folder. Lines that do not
end in the suffix of an image are left out.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from yoloscale.datasets.file_kinds import is_image, other_file, read_head
from yoloscale.datasets.places import WINDOWS, find_tail, parts_of, shown
from yoloscale.errors import Problem

_SAMPLE = 50  # lines of a list whose labels are looked for
_SHOWN = 80  # characters of a line


class Line(NamedTuple):
    """A line of a list that is not empty; a tuple, as lists have a million lines."""

    number: int  # from 1
    written: str
    image: str  # the path that training opens


def lines_of(file: Path) -> list[Line]:
    """The lines of a list. Raises OSError, and UnicodeDecodeError where it is not UTF-8."""
    numbered = enumerate(file.read_text(encoding="utf-8-sig").splitlines(), start=1)
    written = {number: line for number, line in numbered if line.strip()}
    if written:  # Ultralytics strips the text, not its lines
        first, last = min(written), max(written)
        written[first] = written[first].lstrip()
        written[last] = written[last].rstrip()
    parent = f"{file.parent}{os.sep}"
    return [
        Line(number, line, line.replace("./", parent, 1) if line.startswith("./") else line)
        for number, line in written.items()
    ]


def problem_of_list(key: str, file: Path, bases: Sequence[Path]) -> Problem | None:
    """Why no line of a list can be used; None if at least one can. `bases`: folders where images may be instead."""
    try:
        lines = lines_of(file)
    except UnicodeDecodeError as error:
        return _no_text(key, file, error)
    except OSError as error:
        return Problem(key, f"{file} cannot be read ({error.strerror})", "write the path of a folder or a list")
    if not lines:
        return Problem(key, f"{file}: is empty", "write one path of an image a line")
    images = [line for line in lines if is_image(line.image)]
    if not images:
        other = other_file(file, read_head(file))
        return Problem(key, f"{file}: {other.what}", other.cure) if other else _no_image(key, file, lines[0])
    if not any(os.path.exists(line.image) for line in images):  # noqa: PTH110  # a Path for each line costs more
        return _nowhere(key, file, images, bases)
    return _labels_missed(key, file, images)


def remark_on_lines(file: Path) -> str | None:
    """What is left out of a list that has images too."""
    try:
        lines = lines_of(file)
    except (OSError, UnicodeDecodeError):
        return None  # a problem, told as such
    others = [line for line in lines if not is_image(line.image)]
    if not others or len(others) == len(lines):
        return None
    first = others[0]
    count = "1 line is" if len(others) == 1 else f"{len(others)} lines are"
    why = "blanks behind the path" if is_image(first.written.rstrip()) else "no suffix of an image at its end"
    return f"{file}:{first.number}: {_short(first.written)} has {why}; {count} left out of {len(lines)}"


def places_of(files: Iterable[Path]) -> dict[str, str]:
    """`list:line` of each image that one of these lists names; folders among them are passed over."""
    return {line.image: f"{file}:{line.number}" for file in files if file.is_file() for line in lines_of(file)}


def _no_text(key: str, file: Path, error: UnicodeDecodeError) -> Problem:
    start = file.read_bytes()[:4]
    if is_image(file.name):
        return Problem(key, f"{file} is an image, not a list of images", "write its folder, or a .txt file of paths")
    if start.startswith(b"PK\x03\x04"):
        return Problem(key, f"{file} is a zip archive", "unpack it and write the folder of its images")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        name, new = shlex.quote(str(file.absolute())), shlex.quote(f"{file.absolute()}.utf8")
        cure = f"iconv -f UTF-16 -t UTF-8 {name} > {new} && mv {new} {name}"
        return Problem(key, f"{file}:1: is UTF-16, as editors on Windows write it, not UTF-8", cure)
    line = error.object[: error.start].count(b"\n") + 1
    found = f"{file}:{line}: is not UTF-8 (byte 0x{error.object[error.start]:02x})"
    return Problem(key, found, "save the list as UTF-8")


def _no_image(key: str, file: Path, first: Line) -> Problem:
    found = f"{file}:{first.number}: {_short(first.written)} is no path of an image, nor is any other line"
    if first.written.endswith(".txt"):
        return Problem(key, found, "list the images, not their labels")
    if first.written.strip(" \t'\",;") != first.written:
        return Problem(key, found, "write the path alone: no quotes, commas or blanks around it")
    if len(first.written.split()) > 1 or "," in first.written:
        return Problem(key, found, "write the path alone; labels are in a .txt file for each image")
    return Problem(key, found, "write one path of an image a line, with its suffix (.jpg, .png, …)")


def _nowhere(key: str, file: Path, images: list[Line], bases: Sequence[Path]) -> Problem:
    first = images[0]
    absent = f"; none of its {len(images)} images is there" if len(images) > 1 else ""
    if WINDOWS.match(first.written) or "\\" in first.written:
        found = f"{file}:{first.number}: {_short(first.written)} is a Windows path{absent}"
    else:
        relative = f" (a line without ./ is below the working folder, {Path.cwd()})"
        where = "" if Path(first.image).is_absolute() else relative
        found = f"{file}:{first.number}: there is no {_short(first.image)}{where}{absent}"
    parts = parts_of(first.written)
    tail = find_tail(parts, (file.parent, *bases))
    if tail is None:
        return Problem(key, found, "write paths of this machine: absolute, or with ./ beside the list")
    base, skipped = tail
    prefix = "./" if base == file.parent else f"{base}/"
    slashes = r"s#[\\/]\+#/#g; " if "\\" in first.written else ""
    written = re.sub(r"[\\/]+", "/", first.written) if slashes else first.written
    kept = re.search(r"/+(?:\./+)*".join(map(re.escape, parts[skipped:])) + "$", written)
    old = re.sub(r"([.*\[\]^$#\\])", r"\\\1", written[: kept.start()] if kept else "")  # as a pattern of sed, between #
    command = f"sed -i {shlex.quote(f'{slashes}s#^{old}#{_replacement(prefix)}#')} {shlex.quote(str(file))}"
    return Problem(key, found, f"write {prefix}{'/'.join(parts[skipped:])}, and so on: {command}")


def _labels_missed(key: str, file: Path, images: list[Line]) -> Problem | None:
    """`images/a.jpg` from the working folder: labels are looked for by replacing /images/, with a slash before it."""
    relative = [line for line in images[:_SAMPLE] if line.image.startswith(f"images{os.sep}")]
    for line in relative:
        inside = Path("labels", *Path(line.image).parts[1:]).with_suffix(".txt")
        if f"{os.sep}images{os.sep}" in line.image or Path(line.image).with_suffix(".txt").exists():
            return None
        if inside.exists():
            prefix = "./" if (file.parent / line.image).exists() else f"{Path.cwd()}/"
            why = f"begins with images/, so that {inside} is not taken for its label"
            found = f"{file}:{line.number}: {line.image} {why}"
            command = f"sed -i {shlex.quote(f's#^images/#{_replacement(prefix)}images/#')} {shlex.quote(str(file))}"
            return Problem(key, found, f"write {prefix}{line.image}, and so on: {command}")
    return None


def _replacement(text: str) -> str:
    """A text as sed's replacement, between #."""
    return re.sub(r"([&#\\])", r"\\\1", text)


def _short(text: str) -> str:
    return shown(text) if len(text) <= _SHOWN else f"{shown(text[:_SHOWN])} …"
