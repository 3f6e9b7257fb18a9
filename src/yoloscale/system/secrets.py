"""Words that give access: how they are told, and how they are hidden."""

from __future__ import annotations

_SECRET_ENDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS")


def is_secret(name: str) -> bool:
    """Whether a variable of this name most likely holds a secret: WANDB_API_KEY, but not TOKENIZERS_PARALLELISM."""
    upper = name.upper()
    return not upper.endswith("PUBLIC_KEY") and any(part.endswith(_SECRET_ENDS) for part in upper.split("_"))
