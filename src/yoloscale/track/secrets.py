"""A config as others may see it: without values that open doors."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from yoloscale.system.secrets import HIDDEN, is_secret, without_logins


def shown(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with plain values; variables of `cluster.env`, and what a key calls a secret, are hidden."""
    plain = {key: _shown(key, value) for key, value in tree.items()}
    cluster = plain.get("cluster")
    if isinstance(cluster, dict) and isinstance(cluster.get("env"), dict):
        cluster["env"] = dict.fromkeys(cluster["env"], HIDDEN)
    return plain


def _shown(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _shown(str(name), item) for name, item in value.items()}
    if value is not None and is_secret(key):
        return HIDDEN
    if isinstance(value, (list, tuple)):
        return [_shown("", item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return without_logins(value) if isinstance(value, str) else value
