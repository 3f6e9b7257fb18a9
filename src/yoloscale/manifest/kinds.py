"""What one source is, by its form and by what lies there; and what to write where it is nothing that can be used."""

from __future__ import annotations

import difflib
import os
from enum import Enum
from itertools import islice

from yoloscale.config.addresses import without_secrets
from yoloscale.datasets.file_kinds import is_image, is_video
from yoloscale.errors import Problem
from yoloscale.manifest import lists, remote
from yoloscale.manifest.folders import is_glob

_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
_STREAMS = ("screen", "rtsp", "rtmp", "tcp", "udp")
_MOST_NAMES = 2_000  # of a folder that are compared with one that is not there
KINDS = "a folder, a glob, an image, a video, a .txt, .csv or .parquet list, a .tar, or an http(s), s3 or gs address"


class SourceKind(Enum):
    """How the images of a source are found."""

    folder = "folder"
    glob = "glob"
    image = "image"
    video = "video"
    list = "list"
    tar = "tar file"
    remote_file = "file behind an address"
    remote_folder = "folder behind an address"


def kind_of(source: str, base: str) -> SourceKind | Problem:
    """What a source is that was typed, or why it cannot be used. Nothing is read but names."""
    if scheme := remote.scheme_of(source):
        return _kind_of_address(source, scheme)
    if not source.strip():
        return Problem("source", "one of them is empty", f"write {KINDS}")
    place = os.path.join(base, source)  # noqa: PTH118  # text, as paths need not be UTF-8
    if os.path.isdir(place):  # noqa: PTH112
        return SourceKind.folder
    if os.path.lexists(place):
        return _kind_of_file(source)
    if is_glob(source):
        return SourceKind.glob
    if source.isdigit() or source.lower() in _STREAMS:
        return Problem("source", f"{source} is a camera or a screen, which never ends", f"write {KINDS}")
    return _absent(source, place)


def _kind_of_file(source: str) -> SourceKind | Problem:
    lower = source.lower()
    if is_image(source):
        return SourceKind.image
    if is_video(source):
        return SourceKind.video
    if lists.is_list(source):
        return SourceKind.list
    if lower.endswith(".tar") or lower.endswith(_COMPRESSED):  # the latter is refused once its first bytes are read
        return SourceKind.tar
    if lower.endswith(".zip"):
        return Problem("source", f"{source} is a zip archive", "unpack it and write the folder of its images")
    return Problem("source", f"{source} is none of the files that are read", f"write {KINDS}")


def _kind_of_address(address: str, scheme: str) -> SourceKind | Problem:
    name, address_shown = remote.name_of(address), without_secrets(address)
    if scheme not in remote.SCHEMES:
        return Problem("source", f"{address_shown}: {scheme}:// is not read", f"write {KINDS}")
    if lists.is_list(name) or name.lower().endswith((".tar", ".zip", *_COMPRESSED)):
        return Problem(
            "source", f"{address_shown} is a list or an archive behind an address", "copy it to this machine"
        )
    if problem := remote.problem_of(address):
        return problem
    return SourceKind.remote_file if remote.is_file(address) else SourceKind.remote_folder


def _absent(source: str, place: str) -> Problem:
    """A path where nothing is, with the name that was perhaps meant."""
    folder, name = os.path.split(os.path.abspath(place))  # noqa: PTH100
    while not os.path.isdir(folder):  # noqa: PTH112
        folder, name = os.path.split(folder)
    try:
        with os.scandir(folder) as entries:
            near = difflib.get_close_matches(name, [entry.name for entry in islice(entries, _MOST_NAMES)], n=1)
    except OSError:  # a name that is near would help, but is not needed
        near = []
    instead = f"there is {near[0]} in {folder}" if near else f"write {KINDS}"
    return Problem("source", f"there is no {source}", instead)
