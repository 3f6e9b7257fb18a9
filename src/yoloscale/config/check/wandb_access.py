"""Whether a W&B run can be logged online from here: the mode that was asked for, a key, a server that answers."""

from __future__ import annotations

import configparser
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from yoloscale.config.check.wandb_package import api_hosts, own_server
from yoloscale.config.schema import WandbMode
from yoloscale.errors import Problem

ANSWER_TIMEOUT_S = 10.0  # a server that says nothing at all by then is not tried any further
_RESTRICTED = {"dryrun": WandbMode.offline, "run": WandbMode.online}  # wandb's older names
_ORDER = (WandbMode.online, WandbMode.offline, WandbMode.disabled)


def mode_of(mode: WandbMode | None, environ: Mapping[str, str] = os.environ, home: Path | None = None) -> WandbMode:
    """The mode asked for (None: online), or a more restrained one: of WANDB_MODE, WANDB_DISABLED or `wandb offline`."""
    if environ.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes"):
        return WandbMode.disabled
    mode = WandbMode.online if mode is None else mode
    named = (environ.get("WANDB_MODE") or kept_settings(environ, home).get("mode", "")).lower()
    restrained = WandbMode(named) if named in WandbMode.__members__ else _RESTRICTED.get(named, mode)
    return max(mode, restrained, key=_ORDER.index)


def kept_settings(environ: Mapping[str, str] = os.environ, home: Path | None = None) -> dict[str, str]:
    """What wandb's own commands have kept: `wandb login --host` for the person, `wandb init` for the working folder."""
    folder = _folder(environ.get("WANDB_CONFIG_DIR"), home) or (home or Path.home()) / ".config" / "wandb"
    local = ".wandb" if Path(".wandb").exists() else "wandb"
    return {**_settings_in(folder / "settings"), **_settings_in(Path(local, "settings"))}


def server_of(environ: Mapping[str, str] = os.environ, home: Path | None = None) -> str:
    """The address of the W&B server: WANDB_BASE_URL, else what `wandb login --host` has kept, else wandb's own.

    Raises ConfigError where wandb does not tell its own.
    """
    named = environ.get("WANDB_BASE_URL") or kept_settings(environ, home).get("base_url")
    if not named:
        return own_server()
    host = urlsplit(named).hostname
    return f"https://api.{host}" if host in api_hosts() else named.rstrip("/")


def has_key(environ: Mapping[str, str] = os.environ, home: Path | None = None) -> bool:
    """Whether there is an API key for the server, where wandb looks for one. The key itself is not kept.

    Raises ConfigError as `server_of` does.
    """
    if environ.get("WANDB_API_KEY") or environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    server, base = server_of(environ, home), home or Path.home()
    host = urlsplit(server).hostname
    others = [api for forge, api in api_hosts().items() if host in (forge, f"api.{forge}", api)]  # the key holds there
    if _names(_netrc(environ, base), [urlsplit(server).netloc, *others]):
        return True
    return bool(kept_settings(environ, home).get("api_key"))


def silence(server: str, timeout_s: float = ANSWER_TIMEOUT_S) -> str | None:
    """Why a server is taken not to be there; None if it says anything at all. The one call here that uses a network."""
    import urllib.error  # with all of http and email: for whoever asks
    import urllib.request

    try:
        with urllib.request.urlopen(server, timeout=timeout_s):
            return None
    except urllib.error.HTTPError:
        return None  # an answer, too
    except Exception as error:  # refused, unknown host, silence, no address at all
        return f"{server} does not answer: {error}"


def environment_with(server: str | None, environ: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """The environment as wandb shall see it: with the server that a run was frozen with, if it was with one."""
    return environ if server is None else {**environ, "WANDB_BASE_URL": server}


def key_problem(environ: Mapping[str, str] = os.environ) -> Problem:
    """What is wrong where there is none."""
    return Problem(
        "logger.wandb.mode",
        f"'online', but there is no API key for {server_of(environ)}",
        "type `wandb login`, or set WANDB_API_KEY in the environment; without internet write logger=wandb_offline",
    )


def _netrc(environ: Mapping[str, str], home: Path) -> Path:
    if chosen := _folder(environ.get("NETRC"), home):
        return chosen
    return next((place for name in (".netrc", "_netrc") if (place := home / name).exists()), home / ".netrc")


def _names(file: Path, hosts: list[str]) -> bool:
    """Whether the file has a password for one of the hosts, or for any host (`default`)."""
    try:
        logins = netrc.netrc(str(file))
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return False
    first = next((login for host in hosts if (login := logins.authenticators(host))), None)
    return first is not None and bool(first[2])


def _settings_in(file: Path) -> dict[str, str]:
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read(file)
        return dict(settings.items("default"))
    except (configparser.Error, OSError, UnicodeDecodeError):
        return {}


def _folder(named: str | None, home: Path | None) -> Path | None:
    """A path from a variable, `~` being the home folder."""
    if not named:
        return None
    return (home or Path.home()) / named[2:] if named.startswith("~/") else Path(named)
