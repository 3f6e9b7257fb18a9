"""Files from addresses: whole or absent, tried again where that may help."""

from __future__ import annotations

import http.client
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

_TIMEOUT_S = 30.0  # without a byte
_ATTEMPTS = 3
_AGAIN = {408, 429}  # and all from 500 on


class DownloadError(Exception):
    """Why a file could not be had, in one line and without what is secret in its address."""


def is_address(text: str) -> bool:
    """Whether a text is an address that `download` can open."""
    return text.lower().startswith(("http://", "https://"))


def without_query(address: str) -> str:
    """The address without what signs it or says who asks, for messages, names and keys."""
    parts = urllib.parse.urlsplit(address)
    host = parts.hostname or ""
    return urllib.parse.urlunsplit((parts.scheme, f"{host}:{parts.port}" if parts.port else host, parts.path, "", ""))


def download(address: str, target: Path) -> None:
    """Write what `address` holds to `target`, by one rename. Raises DownloadError."""
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        for attempt in range(_ATTEMPTS):
            reason, may_help = _try(address, partial)
            if not reason:
                partial.replace(target)
                return
            if not may_help or attempt == _ATTEMPTS - 1:
                raise DownloadError(f"{without_query(address)}: {reason}")
            time.sleep(2**attempt)
    finally:
        partial.unlink(missing_ok=True)


def _try(address: str, partial: Path) -> tuple[str, bool]:
    """Why it failed (empty if it did not), and whether another attempt may help."""
    request = urllib.request.Request(address, headers={"User-Agent": "yoloscale"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer, partial.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
            expected = answer.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        return f"the server answers {error.code} {error.reason}", error.code in _AGAIN or error.code >= 500
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        return str(getattr(error, "reason", "") or error), True
    except (OSError, ValueError) as error:  # a full disk, an address that is none
        return str(error), False
    if expected and expected.isdigit() and partial.stat().st_size < int(expected):
        return f"{partial.stat().st_size} of {expected} bytes came", True
    return "", False
