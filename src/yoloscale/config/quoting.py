r"""Data in Hydra's override grammar: what a person or a program gave arrives as it was given.

Inside quotes Hydra reads `\'` as `'`, and backslashes as themselves unless they come before a quote. OmegaConf reads
`${…}` in any string as an interpolation unless it is written `\${…}`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_BEFORE_QUOTE = re.compile(r"(\\*)('|\Z)")
_DOLLAR_BRACE = re.compile(r"(\\*)\$\{")
_ESCAPED_DOLLAR_BRACE = re.compile(r"((?:\\\\)*)\\\$\{")


def quote(value: object) -> str:
    """Render a Python value so that Hydra gives back the same value: text, numbers, bool, None, lists, mappings."""
    if isinstance(value, Enum):
        return quote(value.value)
    if isinstance(value, (str, Path)):
        return quote_text(without_interpolation(str(value)))
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{quote(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(quote(item) for item in value) + "]"
    return as_typed(value)


def as_typed(value: object) -> str:
    """A plain value for people to read, in the letter case that they type it in."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def quote_text(text: str) -> str:
    """Quote text for Hydra's parser; `${…}` in it stays an interpolation."""
    doubled = _BEFORE_QUOTE.sub(lambda match: match[1] * 2 + (r"\'" if match[2] else ""), text)
    return f"'{doubled}'"


def quote_odd(text: str) -> str:
    """The text of a path or a name, quoted for Hydra's parser if it is more than letters, digits and `_ . / -`."""
    return text if re.fullmatch(r"[\w./-]+", text) else quote_text(without_interpolation(text))


def without_interpolation(text: str) -> str:
    r"""Escape `${` so that OmegaConf reads the text as it is."""
    return _DOLLAR_BRACE.sub(lambda match: match[1] * 2 + r"\${", text)


def is_quoted(token: str) -> bool:
    """Whether the whole token is one quoted string of Hydra's grammar."""
    return _QUOTED.fullmatch(token) is not None


def unquote(token: str) -> str:
    """The text that a token stands for, quoted or not; the inverse of `quote` for text."""
    if not is_quoted(token):
        return token
    mark = token[0]
    inner = re.sub(rf"(\\*)({mark}|\Z)", lambda match: match[1][: len(match[1]) // 2] + match[2], token[1:-1])
    return _ESCAPED_DOLLAR_BRACE.sub(lambda match: match[1][: len(match[1]) // 2] + "${", inner)


def literal(text: str) -> Any:
    """The Python value that typed text stands for, as `yolo` reads it.

    None, True and False in any letter case, `null`, quoted text, numbers and lists; what is none of these is text.
    """
    text = text.strip()
    words = {"none": None, "null": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    if is_quoted(text):
        return unquote(text)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
