"""Files from addresses: whole or absent, tried again where that may help; and whether what they hold has changed."""

from __future__ import annotations

import base64
import http.client
import netrc
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from yoloscale.config.addresses import whole, without_secrets
from yoloscale.system.files import replacement
from yoloscale.system.remarks import Say, silent

_TIMEOUT_S = 30.0  # without a byte
_ASKING_TIMEOUT_S = 10.0
_SAY_EVERY_S = 15.0
_ATTEMPTS = 3
_AGAIN = {408, 429}  # and all from 500 on
_UNCHANGED = 304
_CLOSED = {401, 403}


class DownloadError(Exception):
    """Why a file could not be had, in one line and without what is secret in its address.

    `is_closed`: the server wants a user, a password or a signature, or others than it got. `may_pass`: another attempt
    may have it.
    """

    def __init__(self, reason: str, *, is_closed: bool = False, may_pass: bool = False) -> None:
        super().__init__(reason)
        self.is_closed, self.may_pass = is_closed, may_pass


@dataclass(frozen=True)
class Version:
    """What a server says of a file, by which another one behind the same address is told; None where it does not."""

    etag: str | None = None
    modified: str | None = None
    length: str | None = None

    def is_same(self, other: Version) -> bool | None:
        """Whether both are one file; None if that cannot be told."""
        if self.etag is not None and self.etag == other.etag:
            return True
        dates, lengths = (self.modified, other.modified), (self.length, other.length)
        if None not in dates and None not in lengths:
            return dates[0] == dates[1] and lengths[0] == lengths[1]
        pairs = [pair for pair in ((self.etag, other.etag), dates, lengths) if None not in pair]
        return False if any(one != two for one, two in pairs) else None


def download(address: str, target: Path, say: Say = silent) -> Version:
    """Write what `address` holds to `target`, by one rename; `say` is told how far it is. Raises DownloadError."""
    with replacement(target) as part:
        for attempt in range(_ATTEMPTS):
            try:
                return _download(address, part, say)
            except DownloadError as error:
                if not error.may_pass or attempt == _ATTEMPTS - 1:
                    raise
            time.sleep(2**attempt)
        raise AssertionError("the last attempt returns or raises")


def ask(address: str, known: Version) -> Version:
    """What the server says of the file now; nothing of it is read. `known` if it has not changed since.

    Raises DownloadError. A GET, as an address may be signed for that alone.
    """
    try:
        request = _request(address, {"If-None-Match": known.etag} if known.etag is not None else {})
        with urllib.request.urlopen(request, timeout=_ASKING_TIMEOUT_S) as answer:
            return _version(answer.headers)
    except urllib.error.HTTPError as error:
        if error.code == _UNCHANGED:
            return known
        raise _failure(address, error) from None
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise _failure(address, error) from None


def _download(address: str, part: Path, say: Say) -> Version:
    try:
        with urllib.request.urlopen(_request(address), timeout=_TIMEOUT_S) as answer, part.open("wb") as file:
            version = _version(answer.headers)
            length = int(version.length) if version.length and version.length.isdigit() else 0
            of_all = f"{length // 2**20} MiB of " if length else ""
            _copy(answer, file, f"of {of_all}{without_secrets(address)}", say)
        if (size := part.stat().st_size) < length:
            raise ConnectionError(f"{size} of {version.length} bytes came")
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise _failure(address, error) from None
    return version


def _copy(answer: IO[bytes], file: IO[bytes], of_what: str, say: Say) -> None:
    done, due = 0, time.monotonic() + _SAY_EVERY_S
    while block := answer.read(1 << 20):
        file.write(block)
        done += len(block)
        if time.monotonic() >= due:
            due = time.monotonic() + _SAY_EVERY_S
            say(f"{done // 2**20} MiB {of_what}")


def _version(headers: Any) -> Version:
    return Version(headers.get("ETag"), headers.get("Last-Modified"), headers.get("Content-Length"))


def _failure(address: str, error: Exception) -> DownloadError:
    passing = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)  # not a full disk
    may_pass = isinstance(error, passing) and not isinstance(error, http.client.InvalidURL)
    reason, is_closed = str(getattr(error, "reason", "") or error), False
    if isinstance(error, urllib.error.HTTPError):
        reason = f"the server answers {error.code} {error.reason}"
        may_pass, is_closed = error.code in _AGAIN or error.code >= 500, error.code in _CLOSED
    for secret in filter(None, _secrets(whole(address))):  # what a library quotes in its own words
        reason = reason.replace(secret, "…")
    return DownloadError(f"{without_secrets(address)}: {reason}", is_closed=is_closed, may_pass=may_pass)


def _secrets(address: str) -> tuple[str | None, ...]:
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError:
        return (address,)
    return parts.query, parts.netloc.rpartition("@")[0], parts.password, parts.username


def _request(address: str, headers: dict[str, str] | None = None) -> urllib.request.Request:
    """A request with the user and the password of the address, else those that ~/.netrc has for its host by name.

    The latter not where the address has a query: that may be its signature, and object stores refuse two of a kind.
    They are not sent on to where the server redirects to. Raises ValueError.
    """
    parts = urllib.parse.urlsplit(whole(address))
    bare = urllib.parse.urlsplit(without_secrets(address))
    place = urllib.parse.urlunsplit((bare.scheme, bare.netloc, parts.path, parts.query, ""))
    request = urllib.request.Request(place, headers={"User-Agent": "yoloscale", **(headers or {})})
    user, password = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
    login = (user, password) if user else None
    if login := login or (None if parts.query else _from_netrc(parts.hostname or "")):
        words = base64.b64encode(":".join(login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {words}")
    return request


def _from_netrc(host: str) -> tuple[str, str] | None:
    try:
        login = netrc.netrc().hosts.get(host)
    except (OSError, netrc.NetrcParseError):  # none, or one that others may read
        return None
    return None if login is None else (login[0], login[2] or "")
