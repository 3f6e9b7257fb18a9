"""Whether a W&B run can be logged online from here: the mode that was asked for, a key, a server that answers."""

from __future__ import annotations

import configparser
import netrc
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from yoloscale.config.errors import Problem
from yoloscale.config.schema import WandbMode

CLOUD = "https://api.wandb.ai"
ANSWER_TIMEOUT_S = 10.0  # a server that says nothing at all by then is not tried any further
_RESTRICTED = {"dryrun": WandbMode.offline, "run": WandbMode.online}  # wandb's older names
_ORDER = (WandbMode.online, WandbMode.offline, WandbMode.disabled)


def mode_of(asked: WandbMode, environ: Mapping[str, str] = os.environ) -> WandbMode:
    """The mode asked for, or that of WANDB_MODE or WANDB_DISABLED where this is the more restrained one."""
    if environ.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes"):
        return WandbMode.disabled
    named = environ.get("WANDB_MODE", "").lower()
    found = WandbMode(named) if named in WandbMode.__members__ else _RESTRICTED.get(named, asked)
    return max(asked, found, key=_ORDER.index)


def server_of(environ: Mapping[str, str] = os.environ, home: Path | None = None) -> str:
    """The address of the W&B server: WANDB_BASE_URL, else what `wandb login --host` has kept, else W&B's own."""
    if environ.get("WANDB_BASE_URL"):
        return environ["WANDB_BASE_URL"].rstrip("/")
    folder = environ.get("WANDB_CONFIG_DIR") or str((home or Path.home()) / ".config" / "wandb")
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read([Path(folder) / "settings", Path("wandb") / "settings"])
        return settings.get("default", "base_url", fallback=CLOUD).rstrip("/")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return CLOUD


def has_key(environ: Mapping[str, str] = os.environ, home: Path | None = None) -> bool:
    """Whether there is an API key for the server, where wandb looks for one. The key itself is not kept."""
    if environ.get("WANDB_API_KEY") or environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(server_of(environ, home)).hostname or ""
    home = home or Path.home()
    places = [Path(environ["NETRC"])] if environ.get("NETRC") else [home / ".netrc", home / "_netrc"]
    return any(_names(place, host) for place in places)


def silence(server: str, timeout_s: float = ANSWER_TIMEOUT_S) -> str | None:
    """Why a server is taken not to be there; None if it says anything at all. The one call here that uses a network."""
    try:
        with urllib.request.urlopen(server, timeout=timeout_s):
            return None
    except urllib.error.HTTPError:
        return None  # an answer, too
    except Exception as error:  # refused, unknown host, silence, no address at all
        return f"{server} does not answer: {error}"


def key_problem() -> Problem:
    """What is wrong where there is none."""
    return Problem(
        "logger.wandb.mode",
        f"'online', but there is no API key for {server_of()}",
        "type `wandb login`, or set WANDB_API_KEY in the environment; without internet write logger=wandb_offline",
    )


def _names(file: Path, host: str) -> bool:
    try:
        found = netrc.netrc(str(file)).hosts.get(host)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return False
    return found is not None and bool(found[2])
