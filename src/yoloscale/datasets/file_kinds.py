"""What a file is: an image or video by its name; by its first bytes, what lies in place of one or of a label."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

IMAGE_SUFFIXES = frozenset(
    {"avif", "bmp", "dng", "heic", "heif", "jp2", "jpeg", "jpg", "mpo", "png", "tif", "tiff", "webp"}
)
VIDEO_SUFFIXES = frozenset({"asf", "avi", "gif", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "ts", "webm", "wmv"})
HEAD_BYTES = 512  # that `other_file` wants to see

_LFS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_ANNEX = (b"/annex/objects/", b"../.git/annex/", b".git/annex/objects/")
_PAGE = (b"<!doctype html", b"<html", b"<head")
COPY_AGAIN = "download or copy it again, and compare its size with that of the source"


@dataclass(frozen=True)
class OtherFile:
    """A file that is not what its name says."""

    what: str  # completes "FILE …"
    cure: str


def is_image(name: str) -> bool:
    """Whether Ultralytics takes a file for an image, by the suffix of its name."""
    return name.rpartition(".")[2].lower() in IMAGE_SUFFIXES


def is_video(name: str) -> bool:
    """Whether Ultralytics takes a file for a video, by the suffix of its name."""
    return name.rpartition(".")[2].lower() in VIDEO_SUFFIXES


def other_file(path: Path | str, head: bytes) -> OtherFile | None:
    """What a file is that begins with `head` (all of it if shorter than HEAD_BYTES); None for ordinary content."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head:
        return OtherFile("is empty", COPY_AGAIN)
    if text.startswith(_LFS):
        return OtherFile("is a Git LFS pointer: what it points to was not downloaded", _pull(Path(path)))
    if text.startswith(_ANNEX):
        return OtherFile("is a git-annex pointer: what it points to was not downloaded", "run `git annex get .` there")
    if text[:16].lower().startswith(_PAGE):
        title = re.search(rb"<title[^>]*>\s*([^<]{1,80})", text, re.IGNORECASE)
        named = f" ({' '.join(title[1].decode('utf-8', 'replace').split())})" if title else ""
        return OtherFile(f"is a web page{named}", f"{COPY_AGAIN}: the address wants a login or a confirmation")
    if text.startswith((b"<?xml", b"<Error>")) and (code := re.search(rb"<Code>(\w+)</Code>", text)):
        return OtherFile(f"is the answer of a server: {code[1].decode()}", f"{COPY_AGAIN}: the server refused it")
    if not head.strip(b"\0"):
        return OtherFile("begins with nothing but zeros: it was never written to its end", COPY_AGAIN)
    return None


def read_head(path: Path | str) -> bytes:
    """The first HEAD_BYTES of a file, and no more of it. Raises OSError."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # a Path for each of millions of files costs more than the read
        return file.read(HEAD_BYTES)


def _pull(path: Path) -> str:
    """How the content of LFS pointers is had, and where."""
    for folder in path.absolute().parents:
        if (folder / ".git").exists():
            return f"run `git lfs pull` in {folder}"
    pull = "run `git lfs pull` in the clone that it comes from"
    return f"{pull}, and copy it again (a zip from the web has pointers only)"
