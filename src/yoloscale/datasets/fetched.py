"""Which folder of the cache holds what an address holds: a file behind it that has changed is another folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import time
from dataclasses import asdict
from pathlib import Path

from yoloscale.config.addresses import without_secrets
from yoloscale.datasets.download import DownloadError, Version, ask
from yoloscale.system.files import write_whole
from yoloscale.system.remarks import Say

_RECORD = ".fetched.json"


def record(folder: Path, version: Version) -> None:
    """Put down in a folder what it was fetched from. Raises OSError."""
    write_whole(folder / _RECORD, json.dumps({"time": time.time(), **asdict(version)}))


def newest(base: Path) -> Path:
    """The folder of an address that was fetched last; `base`, which is not there, if none was."""
    return next(iter(_folders(base)), base)


def date(folder: Path) -> str:
    """When a folder was fetched, for people."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(_read(folder)[0]))


def choose(base: Path, address: str, say: Say) -> Path:
    """The folder for what an address holds now, which may be there already. The server is asked only if one is."""
    folders = _folders(base)
    if not folders:
        return base
    named, (_, version) = without_secrets(address), _read(folders[0])
    try:
        now = ask(address, version)
    except DownloadError as error:
        why = str(error)
    else:
        if same := next((folder for folder in folders if _read(folder)[1].is_same(now)), None):
            if same != folders[0]:
                with contextlib.suppress(OSError):  # a cache that others write
                    record(same, now)  # it is the newest again
            return same
        if version.is_same(now) is False:
            say(f"{named} has changed since it was fetched ({date(folders[0])}): another one is fetched")
            digest = hashlib.sha256(repr(now).encode()).hexdigest()[:8]
            return base.with_name(f"{base.name}-{digest}")
        why = "its server does not tell"
    say(
        f"{named} was fetched on {date(folders[0])}; whether it has changed since is not known ({why}); "
        f"to fetch it anew: rm -r {shlex.quote(str(folders[0]))}"
    )
    return folders[0]


def _folders(base: Path) -> list[Path]:
    folders = [folder for folder in (base, *base.parent.glob(f"{base.name}-*")) if folder.is_dir()]
    return sorted(folders, key=lambda folder: _read(folder)[0], reverse=True)


def _read(folder: Path) -> tuple[float, Version]:
    """When a folder was fetched, and what the server said of the file; of one of an earlier version only the time."""
    try:
        content = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        return float(content.pop("time")), Version(**content)
    except (OSError, ValueError, KeyError, TypeError):
        return folder.stat().st_mtime, Version()
