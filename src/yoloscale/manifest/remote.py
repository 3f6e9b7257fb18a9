"""Sources behind addresses: http(s), s3 and gs, read through fsspec, which comes with the extra `remote`."""

from __future__ import annotations

import errno
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

from yoloscale.config.addresses import without_secrets
from yoloscale.datasets.file_kinds import is_image, is_video
from yoloscale.errors import Problem
from yoloscale.manifest.pace import Abandoned, Pace

SCHEMES = ("http", "https", "s3", "gs")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0)  # before the second attempt and those after it
_WAITS_OF_LISTINGS_S = _WAITS_S[:2]  # somebody sits and waits
_CONNECT_TIMEOUT_S = 10.0
_READ_TIMEOUT_S = 30.0  # without a byte
_OUTAGES = (408, 425, 429, 502, 503, 504)  # what a server answers that has not looked at the file: 500 has
_FIRST_FAULT, _FIRST_SERVER_FAULT = 400, 500
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotImplementedError)
NO_HOST = "there is no host of this name"
MACHINE_FAULTS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT)
_Answer = TypeVar("_Answer")


class RemoteError(Exception):
    """Why an address gives nothing, in one line that is the same on every machine: this is so, now and later."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OutageError(OSError):
    """A server, the network or this machine does not do its work now: that says nothing of what an address holds."""


def scheme_of(source: str) -> str | None:
    """The scheme of an address, in small letters; None for a path."""
    match = _SCHEME.match(source)
    return match[1].lower() if match else None


def is_remote(source: str) -> bool:
    """Whether a source is an address that this module reads."""
    return scheme_of(source) in SCHEMES


def name_of(address: str) -> str:
    """The address without query and fragment: what its suffix is told by."""
    return re.split("[?#]", address, maxsplit=1)[0]


def is_file(address: str) -> bool:
    """Whether an address is one image or video; else a folder, or a prefix of names in a bucket."""
    name = name_of(address)
    return is_image(name) or is_video(name) or (not name.endswith("/") and scheme_of(address) in ("http", "https"))


def problem_of(address: str) -> Problem | None:
    """What is not installed that this address needs."""
    try:
        _file_system(address)
    except (ImportError, ValueError) as error:
        found = f"{without_secrets(address)} needs a package that is not installed ({error})"
        return Problem("source", found, "pip install 'yoloscale[remote]'")
    return None


def listing(address: str) -> Iterator[str]:
    """The images and videos below a folder or a prefix, recursively, sorted; a folder's names are in memory at once.

    Raises RemoteError and OutageError.
    """
    system = _file_system(address)
    pending = [str(system._strip_protocol(address)).rstrip("/") + "/"]
    while pending:
        path = pending.pop()
        if path.endswith("/"):
            pending.extend(sorted(_names(system, address, path), reverse=True))
        else:
            yield str(system.unstrip_protocol(path))


def _names(system: Any, address: str, folder: str) -> set[str]:
    """The images, videos and folders in a folder, the latter with a slash at their end."""
    names = set[str]()
    entries = _attempts(address, lambda: system.ls(folder, detail=True, refresh=True), _WAITS_OF_LISTINGS_S)
    for entry in entries:
        name = str(entry["name"]).rstrip("/")
        last = name.rpartition("/")[2]
        if name == folder.rstrip("/") or last.startswith("."):  # a bucket may have an object for the folder itself
            continue
        if entry["type"] == "directory":
            names.add(f"{name}/")
        elif is_image(last) or is_video(last):
            names.add(name)
    return names


def read(address: str, pace: Pace | None = None) -> bytes:
    """The bytes behind an address. Raises RemoteError; OutageError after the last attempt; Abandoned."""
    return _attempts(address, lambda: bytes(_file_system(address).cat_file(address)), _WAITS_S, pace)


def copied(address: str, pace: Pace | None = None) -> IO[bytes]:
    """A copy of what is behind an address, under the `name` of the file, until that is closed.

    Raises RemoteError; OutageError after the last attempt; OSError where there is no room for it; Abandoned.
    """
    file = tempfile.NamedTemporaryFile(prefix="yoloscale-copy-")  # noqa: SIM115  # whoever asked closes it

    def copy() -> None:
        from fsspec.callbacks import Callback

        moves = Callback(hooks={"pace": lambda *_, **__: pace.move()} if pace is not None else {})
        _file_system(address).get_file(address, file.name, callback=moves)

    try:
        _attempts(address, copy, _WAITS_S, pace)
    except BaseException:
        file.close()
        raise
    return file


def _attempts(
    address: str, ask: Callable[[], _Answer], waits_s: tuple[float, ...], pace: Pace | None = None
) -> _Answer:
    for wait_s in (*waits_s, None):
        try:
            return ask()
        except Abandoned:
            raise
        except Exception as error:  # each back end of fsspec has exceptions of its own
            if isinstance(error, OSError) and error.errno in MACHINE_FAULTS:
                raise
            is_last = wait_s is None or isinstance(error, ImportError)
            if _is_final(error) or (is_last and _status(error) not in (None, *_OUTAGES)):
                raise RemoteError(_reason(error)) from error
            if wait_s is None or is_last:
                raise OutageError(f"{_host(address)}: {_reason(error)}") from error
        time.sleep(wait_s) if pace is None else pace.wait(wait_s)
    raise AssertionError("the last attempt returns or raises")


def _is_final(error: Exception) -> bool:
    """Whether it is an answer of a server that works, and would be the same another time."""
    status = _status(error)
    if status is not None:
        return status < _FIRST_SERVER_FAULT and status not in _OUTAGES
    return _is_refusal(error) or _has_no_host(error) or isinstance(error, (*_FINAL, ValueError, TypeError))


def _is_refusal(error: Exception) -> bool:
    """gcsfs has no type for it."""
    return isinstance(error, PermissionError) or (isinstance(error, OSError) and str(error).startswith("Forbidden"))


def _status(error: Exception) -> int | None:
    """The number of an answer over HTTP; `code` is what gcsfs calls it."""
    numbers = (getattr(error, name, None) for name in ("status", "code"))
    return next((number for number in numbers if isinstance(number, int) and number >= _FIRST_FAULT), None)


def _has_no_host(error: Exception) -> bool:
    """Whether the name service knows that there is no such host; of one that does not answer, it is False."""
    cause = getattr(error, "os_error", error)  # aiohttp wraps it
    return isinstance(cause, socket.gaierror) and cause.errno in (socket.EAI_NONAME, socket.EAI_NODATA)


def _host(address: str) -> str:
    """The host or the bucket of an address, without a login."""
    return urlsplit(address).netloc.rpartition("@")[2] or "an address"


def _reason(error: Exception) -> str:
    """One line without addresses or times, so that it is the same for whoever asks."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file at this address"
    if _is_refusal(error):
        return "the server does not allow to read it"
    if isinstance(error, ImportError):
        return f"what reads it is not installed on this machine ({error})"
    if _has_no_host(error):
        return NO_HOST
    status = _status(error)
    return f"the server answers with {status}" if status else f"the server does not answer ({type(error).__name__})"


def _file_system(address: str) -> Any:
    """fsspec's file system for an address; it keeps one for each scheme. Raises ImportError and ValueError."""
    import fsspec

    scheme = scheme_of(address)
    if scheme not in ("http", "https"):
        return fsspec.filesystem(scheme, use_listings_cache=False)
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=_READ_TIMEOUT_S)
    return fsspec.filesystem(scheme, client_kwargs={"timeout": timeout}, use_listings_cache=False)
