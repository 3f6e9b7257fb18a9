"""Everything that sources hold, as a stream of entries: folders, globs, lists, archives, videos and addresses."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from yoloscale.config.addresses import NO_SECRETS, secret_in, without_secrets
from yoloscale.datasets.file_kinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_image, is_video
from yoloscale.errors import ConfigError, Problem
from yoloscale.manifest import folders, lists, remote, tar, videos
from yoloscale.manifest.kinds import SourceKind, kind_of
from yoloscale.manifest.remote import MACHINE_FAULTS, OutageError, RemoteError
from yoloscale.manifest.table import Entry
from yoloscale.manifest.videos import Video
from yoloscale.system.remarks import Say, silent


@dataclass(frozen=True)
class Expansion:
    """What all sources are opened with."""

    base: str  # the folder that relative paths are below
    column: str  # of .csv and .parquet lists
    stride: int  # every so manyth frame of a video
    say: Say

    def all_of(self, sources: Sequence[str]) -> Iterator[Entry]:
        """The entries of all sources. Raises ConfigError at the end, with the problems of all.

        A source that holds nothing is a problem, a file that cannot be read is an entry.
        """
        problems = list[Problem]()
        for source in sources:
            kind = kind_of(source, self.base)  # again: it may have gone since the first look
            if isinstance(kind, Problem):
                problems.append(kind)
                continue
            is_empty = True
            try:
                for entry in self._opened(source, kind):
                    is_empty = False
                    yield entry
            except ConfigError as error:
                problems.extend(error.problems)
            except RemoteError as error:
                found = f"{without_secrets(source)}: {error.reason}"
                problems.append(Problem("source", found, "write an address that answers"))
            except OutageError as error:  # of an address of a list perhaps, so it says which host
                problems.append(Problem("source", str(error), "try again later, or write an address that answers"))
            except OSError as error:
                if error.errno in MACHINE_FAULTS:
                    raise
                name = source if error.filename is None else os.fsdecode(error.filename)
                found = f"{name} cannot be read ({error.strerror})"
                problems.append(Problem("source", found, "make it readable, or write another source"))
            else:
                problems.extend([_empty(source, kind)] if is_empty else [])
        if problems:
            raise ConfigError(problems)

    def _opened(self, source: str, kind: SourceKind) -> Iterator[Entry]:
        """The entries of one source, however it came about; lists hold no lists."""
        if kind is SourceKind.folder:
            return self._files(folders.walk(source, self.base, self.say))
        if kind is SourceKind.glob:
            return self._files(folders.matches(source, self.base, self.say))
        if kind is SourceKind.list:
            return self._lines(source)
        if kind is SourceKind.tar:
            return self._members(source)
        if kind is SourceKind.video:
            return self._frames(Entry(source))
        if kind is SourceKind.remote_folder:
            return self._remote_files(remote.listing(source))
        return self._remote_files([source]) if kind is SourceKind.remote_file else iter([Entry(source)])

    def _files(self, paths: Iterator[str]) -> Iterator[Entry]:
        for path in paths:
            if is_video(path):
                yield from self._frames(Entry(path))
            else:
                yield Entry(path)

    def _remote_files(self, addresses: Iterable[str]) -> Iterator[Entry]:
        for address in addresses:
            if not is_video(remote.name_of(address)):
                yield Entry(address)
                continue
            try:
                with remote.copied(address) as copy:
                    yield from self._frames(Entry(address), copy.name)
            except RemoteError:
                yield Entry(address)

    def _members(self, archive: str) -> Iterator[Entry]:
        for name, offset, size in tar.members(self._place(archive)):
            entry = Entry(archive, name, offset, size)
            if is_video(name) and offset is not None:
                yield from self._frames(entry)
            else:
                yield entry

    def _frames(self, entry: Entry, copy: str | None = None) -> Iterator[Entry]:
        """The frames of a video, which may be read from a copy; the entry itself if there are none."""
        video = Video(copy or self._place(entry.path), entry.offset, entry.size)
        is_empty = True
        for number, time_s in videos.frames(video, self.stride):
            is_empty = False
            yield entry._replace(frame=number, time_s=time_s)
        if is_empty:
            yield entry

    def _lines(self, name: str) -> Iterator[Entry]:
        folder = os.path.dirname(name)  # noqa: PTH120  # of a path as it was typed
        for number, source in enumerate(lists.sources(self._place(name), self.column)):
            if "://" in source and (secret := secret_in(source)) is not None:
                found = f"{name}: source {number} is {without_secrets(source)} with {secret}, which would be kept"
                raise ConfigError(Problem("source", found, NO_SECRETS))
            yield from self._address(source) if remote.scheme_of(source) else self._line(source, folder)

    def _address(self, address: str) -> Iterator[Entry]:
        """What a list has at an address; one that is not read is a row that says so."""
        if not remote.is_remote(address):
            return iter([Entry(address)])
        if isinstance(kind := kind_of(address, self.base), Problem):
            raise ConfigError(kind)
        return self._opened(address, kind)

    def _line(self, source: str, folder: str) -> Iterator[Entry]:
        """What a list has at a path: below the working folder, or beside the list if it is not there.

        What is nowhere, and what is no source, is a row that says so.
        """
        path = source
        if folder and not os.path.isabs(source) and not self._is_there(source):  # noqa: PTH117
            beside = os.path.join(folder, source)  # noqa: PTH118
            path = beside if self._is_there(beside) else source
        if is_image(path) and not folders.is_glob(path):
            return iter([Entry(path)])
        kind = kind_of(path, self.base) if self._is_there(path) else None
        if kind is SourceKind.list or not isinstance(kind, SourceKind):
            return iter([Entry(path)])
        return self._opened(path, kind)

    def _is_there(self, path: str) -> bool:
        if os.path.lexists(self._place(path)):
            return True
        return folders.is_glob(path) and next(folders.matches(path, self.base, silent), None) is not None

    def _place(self, path: str) -> str:
        return os.path.join(self.base, path)  # noqa: PTH118  # text, as paths need not be UTF-8


def _empty(source: str, kind: SourceKind) -> Problem:
    found = f"{without_secrets(source) if remote.is_remote(source) else source} has no image and no video"
    suffixes = ", ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))
    return Problem("source", found, f"write a {kind.value} that has some (by their suffixes: {suffixes})")
