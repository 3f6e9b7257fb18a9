"""`data=[a.yaml,b.yaml]`: a run for each dataset, from the same weights, as in `yolo train`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from yoloscale.config.compose.words import join_equals
from yoloscale.config.quoting import quote, unquote
from yoloscale.system.remarks import Say, silent

_ELEMENT = re.compile(r"""\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^,'"]*?)\s*(?:,|\Z)""", re.DOTALL)
ALL_AT_ONCE = "for one model of all of them, write a dataset YAML with lists below train: and val:"


def elements(value: str) -> list[str] | None:
    """The words in brackets or parentheses, without their quotes; None if the value is no such list."""
    value = value.strip()
    if value[:1] + value[-1:] not in ("[]", "()"):
        return None
    inner, words, at = value[1:-1].strip().removesuffix(","), list[str](), 0
    while at < len(inner):
        match = _ELEMENT.match(inner, at)
        if match is None or not match[1]:
            return None
        words.append(unquote(match[1]))
        at = match.end()
    return words or None


def with_each_dataset(tokens: Sequence[str], say: Say = silent) -> list[str]:
    """The tokens, with the datasets of a list as values of a sweep (`-m`); a list of one is that one.

    What is no list of datasets stays as it was typed. `say` gets a line if there are several.
    """
    joined, several = list[str](), False
    for token in join_equals(tokens):
        key, _, value = token.partition("=")
        datasets = elements(value) if key.strip() == "data" else None
        if datasets is not None:
            token = f"data={','.join(map(quote, datasets))}"
            if several := len(datasets) > 1:
                say(f"data: a run for each of {len(datasets)} datasets, as in `yolo train`; {ALL_AT_ONCE}")
        joined.append(token)
    is_sweep = "-m" in joined or "--multirun" in joined
    return joined if is_sweep or not several else ["-m", *joined]
