"""Addresses with what opens them: a user and a password, or a query that signs them.

They are kept, compared and shown without that. `hide` takes it off and remembers it for as long as this process lives;
`whole` gives it to who fetches. Nothing of it is written anywhere.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from yoloscale.config.quoting import is_quoted, quote_text, unquote
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.secrets import has_login, is_secret

NO_SECRETS = (
    "write it without: s3:// and gs:// addresses are opened by their own variables and files; or copy the files here"
)
UNREADABLE = "://…"  # the end of what is shown of an address that cannot be taken apart
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
_QUOTED = rf"""(?P<mark>['"]){_SCHEME}(?:[^\\]|\\.)*?(?P=mark)(?=\s*(?:[,\])}}]|\Z))"""
_IN_LIST = re.compile(rf"""{_QUOTED}|(?P<plain>{_SCHEME}[^\s,'"\]\)]+)""", re.DOTALL)
# Outside of brackets nothing but another address ends one: commas, quotes and parentheses may be of a signature.
_ALONE = re.compile(rf"""{_QUOTED}|(?P<plain>{_SCHEME}.+?)(?=\s*(?:,\s*['"]?{_SCHEME}|\Z))""", re.DOTALL)
_LIST = re.compile(r"\s*(?:[\[({]|[a-z]+\()")  # or a function of the override grammar
_SIGNING = ("sig", "auth", "jwt", "hmac", "hdnea", "hdnts")
_DATA = ("data", "data.source")
_KEYS = frozenset({"", *(f"{place}{key}" for place in ("", "sweep.params.", "hydra.sweeper.params.") for key in _DATA)})
_WHOLE: dict[str, str] = {}  # by what is shown of them


def is_address(text: str) -> bool:
    """Whether a text is an address that can be fetched."""
    return text.lower().startswith(("http://", "https://"))


def without_secrets(address: str) -> str:
    """The address without user, password, query and fragment, for messages, names, keys and files."""
    try:
        parts = urllib.parse.urlsplit(address)
        _ = parts.port
    except ValueError:  # a password with a slash in it, say
        return address.partition("://")[0] + UNREADABLE
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


def secret_in(address: str) -> str | None:
    """What in an address gives access to whoever reads it: `a login`, or the name of a word of its query; None without.

    For addresses that are written down as they are, each being an image's own.
    """
    if has_login(address):
        return "a login"
    query = address.partition("#")[0].partition("?")[2]
    names = (name for name, _ in urllib.parse.parse_qsl(query, keep_blank_values=True))
    return next((name for name in names if _is_key(name)), None)


def _is_key(name: str) -> bool:
    """Whether a word of a query of this name signs it: X-Amz-Signature, sig, token, access_token, key, …."""
    plain = name.lower().replace("-", "_")
    return is_secret(plain) or plain in _SIGNING or plain.endswith("signature")


def hide(text: str) -> str:
    """A path, which stays as it is, or an address without its secrets; `whole` has them from now on."""
    if re.match(_SCHEME, text) is None:
        return text
    bare = without_secrets(text)
    if bare != text:
        _WHOLE[bare] = text
    return bare


def whole(address: str) -> str:
    """The address with the secrets that were given with it in this process."""
    return _WHOLE.get(address, address)


def hidden(words: Sequence[str], *, is_swept: bool = False) -> list[str]:
    """What was typed, with the addresses of datasets as `hide` leaves them.

    Raises ConfigError for two that are alike then; and for one of which a comma would be hidden where several values
    are typed with commas: in a sweep, which `-m` or `is_swept` says.
    """
    seen, is_swept = dict[str, str](), is_swept or not {"-m", "--multirun"}.isdisjoint(words)

    def replaced(match: re.Match[str]) -> str:
        address = match["plain"] or (unquote(match[0]) if is_quoted(match[0]) else match[0][1:-1])
        bare = hide(address)
        if seen.setdefault(bare, address) != address:
            found = f"two addresses that differ in user, password or query alone, which are not kept: {bare}"
            raise ConfigError(Problem("data", found, "fetch both, and write their paths"))
        if bare == address:
            return match[0]
        if match["plain"] is None:
            return quote_text(bare) if set(bare) & set("'\"\\") else f"{match['mark']}{bare}{match['mark']}"
        if is_swept and bare.count(",") < address.count(","):
            found = f"a comma behind {bare}: of the address, or between two values?"
            raise ConfigError(Problem("data", found, f"put each address in quotes: data=\"'{bare}?…','…'\""))
        return bare

    def shown(word: str) -> str:
        key, equals, value = word.partition("=")
        if not equals or "://" in key:  # no setting: a value of the key in the word before
            key, equals, value = "", "", word
        if key.strip().lstrip("-+") not in _KEYS:
            return word
        return key + equals + (_IN_LIST if _LIST.match(value) else _ALONE).sub(replaced, value)

    return [shown(word) for word in words]


def hidden_params(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values to sweep over that a YAML file gives (`sweep.params`), as `hidden` leaves those that are typed."""
    bare = dict(params)
    for name, value in params.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            bare[name] = hidden_params(value, f"{key}.")
        elif isinstance(value, list) and key in _DATA:
            bare[name] = [hide(each) if isinstance(each, str) else each for each in value]
        elif isinstance(value, str):
            bare[name] = hidden([f"{key}={value}"], is_swept=True)[0].partition("=")[2]
    return bare
