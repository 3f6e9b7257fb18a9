"""Words that give access: how they are told, and how they are hidden."""

from __future__ import annotations

import re

HIDDEN = "***"
_LOGIN = re.compile(r"://[^/\s@]+@")
_PASSWORD = re.compile(r"://[^/\s:@]+:[^/\s@]+@")
_SECRET_ENDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS")


def is_secret(name: str) -> bool:
    """Whether a variable of this name most likely holds a secret: WANDB_API_KEY, but not TOKENIZERS_PARALLELISM."""
    upper = name.upper()
    return not upper.endswith("PUBLIC_KEY") and any(part.endswith(_SECRET_ENDS) for part in upper.split("_"))


def has_login(text: str) -> bool:
    """Whether an address in the text holds a user, with or without a password."""
    return _LOGIN.search(text) is not None


def has_password(text: str) -> bool:
    """Whether an address in the text holds a user and a password: a user alone, as in `ssh://git@…`, is no secret."""
    return _PASSWORD.search(text) is not None


def without_logins(text: str) -> str:
    """The text without the user and password of an address in it."""
    return _LOGIN.sub(f"://{HIDDEN}@", text)
