"""Addresses with what opens them: a user and a password, or a query that signs them.

They are kept, compared and shown without that. `hide` takes it off and remembers it for as long as this process lives;
`whole` gives it to who fetches. Nothing of it is written anywhere.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Sequence

from yoloscale.config.errors import ConfigError, Problem

UNREADABLE = "://…"  # the end of what is shown of an address that cannot be taken apart
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
_ADDRESS = re.compile(rf"""(['"])({_SCHEME}(?:[^\\]|\\.)*?)\1|({_SCHEME}[^\s,'"\]\)]+)""")
_KEYS = ("data", "data.source", "")  # the last one of `data =ADDRESS`
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


def hidden(words: Sequence[str]) -> list[str]:
    """What was typed, with the addresses of datasets as `hide` leaves them. Raises ConfigError for two that are alike
    then."""
    seen = dict[str, str]()

    def replaced(match: re.Match[str]) -> str:
        address = match[2] or match[3]
        bare = hide(address)
        if seen.setdefault(bare, address) != address:
            found = f"two addresses that differ in user, password or query alone, which are not kept: {bare}"
            raise ConfigError(Problem("data", found, "fetch both, and write their paths"))
        return match[0].replace(address, bare)

    return [_ADDRESS.sub(replaced, word) if _is_of_data(word) else word for word in words]


def _is_of_data(word: str) -> bool:
    """Whether it sets the dataset, or is the value of a key in the word before."""
    key = word.partition("=")[0].strip().lstrip("-+")
    return key in _KEYS or "://" in key
