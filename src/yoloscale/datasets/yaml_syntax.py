"""What is wrong with a YAML file that does not parse, or holds no keys: line, cause and cure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from yoloscale.datasets.file_kinds import HEAD_BYTES, other_file
from yoloscale.datasets.yaml_marks import compose, line_of, scalars, value_of
from yoloscale.errors import Problem

_KEYS = "write path:, train:, val: and names:, each on a line"
_ESCAPE = re.compile(r'"[^"]*\\')
_KEY = re.compile(r"(?:path|train|val|validation|test|nc|names|kpt_shape|flip_idx):")
_NO_SPACE = re.compile(rf"\s*{_KEY.pattern}\S")
_APOSTROPHE = re.compile(r"(?:^|[\s\[,{:])('[^',\]}]*'\w)")
_COMMA = re.compile(r"[\w\"]+:.*[\]}\"'],\s*$")
_BEHIND_QUOTES = re.compile(
    r"""(?P<lead>\s*(?:-\s+)?(?:[^'":#]+:\s+)?)(?P<quote>['"])(?P<text>(?:(?!(?P=quote)).)*)(?P=quote)"""
    r"""(?P<behind>\s*[^\s#,:\]}].*)"""
)
_SPECIAL = "@`%&*!"  # characters with a meaning of their own where a value begins


def problem_of_error(file: Path, text: str, error: Exception) -> Problem:
    """The problem that a YAML parser's error tells of."""
    if problem := _no_yaml_at_all(file, text):
        return problem
    if not isinstance(error, yaml.MarkedYAMLError):
        return _problem_of_value(file, text, error)
    lines = text.splitlines() or [""]
    mark = error.problem_mark or error.context_mark
    number = min(mark.line + 1, len(lines)) if mark else 1
    begun = min(error.context_mark.line + 1, len(lines)) if error.context_mark else number
    above = next((n for n in range(number - 1, 0, -1) if lines[n - 1].strip()), number)
    for candidate in dict.fromkeys((number, begun, above)):
        if cause := _cause_in_line(lines[candidate - 1]):
            return Problem("data", f"{file}:{candidate}: {cause[0]}", cause[1])
    found, instead, at = _cause_of_message(error, lines, number, begun)
    return Problem("data", f"{file}:{at}: {found}", instead)


def problem_of_content(file: Path, text: str, content: Any) -> Problem:
    """The problem of a file that parses, but to no mapping."""
    if problem := _no_yaml_at_all(file, text):
        return problem
    for number, line in enumerate(text.splitlines(), start=1):
        if cause := _cause_in_line(line):
            return Problem("data", f"{file}:{number}: {cause[0]}", cause[1])
    kind = "a list" if isinstance(content, list) else "text" if isinstance(content, str) else "one value"
    return Problem("data", f"{file}:1: holds {kind}, not keys and values", _KEYS)


def _no_yaml_at_all(file: Path, text: str) -> Problem | None:
    if text and (other := other_file(file, text[:HEAD_BYTES].encode())):
        return Problem("data", f"{file}:1: {other.what}", other.cure)
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        return Problem("data", f"{file}:1: is XML, no YAML", "write the path of the dataset YAML")
    return None


def _cause_in_line(line: str) -> tuple[str, str] | None:
    indentation = line[: len(line) - len(line.lstrip())]
    if "\t" in indentation:
        spaces = "" if _KEY.match(line.strip()) else indentation.replace("\t", "  ")
        return "a tab at the start of the line; YAML takes spaces only", f"write {spaces + line.strip()!r}"
    if "{{" in line:
        return "a placeholder that a template left ({{ … }})", "write the value itself"
    if _ESCAPE.search(line):
        key, _, value = line.strip().partition(":")
        cause = "a backslash between double quotes begins an escape"
        if re.search(r'"\s*[A-Za-z]:\\', line):
            instead = f"write the folder's path on this machine: {key}: /path/to/images"
            return f"{cause}, and this is a Windows path, which this machine does not have", instead
        return cause, f"write {key}: {value.strip().replace(chr(92), '/')}"
    if "：" in line:
        return "a full-width colon", f"write {line.strip().replace('：', ': ')}"
    if text := _APOSTROPHE.search(line):
        instead = f'put {text[1]}… between double quotes: "{text[1][1:]}…"'
        return "an apostrophe ends what is between single quotes", instead
    if _COMMA.match(line) and line.count("[") == line.count("]"):
        return "a comma behind the value", f"write {line.strip().rstrip(',')}"
    if _NO_SPACE.match(line):
        key, _, value = line.partition(":")
        return "no space behind the colon", f"write {key.strip()}: {value.strip()}"
    if match := re.match(r"^(\s*)(path|train|val|test|nc|names)\s*=\s*(.+)$", line):
        return "a key with =, not with a colon", f"write {match[2]}: {match[3].strip()}"
    return None


def _cause_of_message(error: yaml.MarkedYAMLError, lines: list[str], number: int, begun: int) -> tuple[str, str, int]:
    """What was found, what to write, and the line, by what the parser was doing when it stopped."""
    text, doing = str(error.problem or ""), str(error.context or "")
    written = lines[number - 1].strip()
    if "quoted scalar" in doing:
        return "the quote that begins here does not end", "write the same quote at the end of the value", begun
    if behind := _BEHIND_QUOTES.match(lines[number - 1]):
        whole = (behind["text"] + behind["behind"]).strip().replace("'", "")
        lead = behind["lead"].strip()
        return f"text behind the closing quote: {behind['behind'].strip()}", f"write {lead} '{whole}'", number
    if special := _special_character(error, lines[number - 1]):
        return f"{special[0]} has a meaning of its own in YAML", special[1], number
    if "flow" in doing and lines[begun - 1].strip() == "{":
        return "the keys stand between { and }, without commas", "leave { and } out", begun
    if "flow" in doing:
        closing = "}" if "mapping" in doing else "]"
        found = f"the list or mapping that begins here has no {closing}, or no comma in line {number}"
        return found, f"write commas between its entries and {closing} at its end", begun
    if written.startswith("---"):
        return "a second document begins (---)", "keep one document in the file", number
    if "\t" in written:
        return "a tab where YAML takes spaces only", f"write {written.replace(chr(9), ' ')!r}", number
    if "mapping values" in text and len(re.findall(r":(?:\s|$)", written)) > 1:
        key, _, value = written.partition(":")
        return "a second colon in the value", f"write {key}: '{value.strip()}'", number
    above = next((n for n in range(number - 1, 0, -1) if lines[n - 1].strip()), 0)
    if "mapping values" in text and above and not re.search(r":(?:\s|$)|^\s*-\s", lines[above - 1]):
        found = f"{lines[above - 1].strip()!r} is no key with a value"
        return found, "write a colon and a space behind the key, or take the line out", above
    if "find expected ':'" in text:
        return "a key without a colon", "write key: value, with a space behind the colon", begun
    if any(word in text for word in ("mapping values", "expected key", "block end", "'-' indicator", "document start")):
        return "is indented otherwise than the lines above", "let all keys begin in the first column", number
    return f"is no YAML: {text or error}", f"mend the line: {written}" if written else "mend the file", number


def _special_character(error: yaml.MarkedYAMLError, written: str) -> tuple[str, str] | None:
    """A value that begins with a character that YAML keeps for itself, and the value in quotes."""
    key, colon, value = written.strip().partition(": ")
    value = value if colon else written.strip().removeprefix("- ")
    if value[:1] in _SPECIAL and value:
        lead = f"{key}: " if colon else "- " if written.strip().startswith("- ") else ""
        return value[0], f"write {lead}'{value}'"
    is_alias = any(word in str(error.context) for word in ("alias", "anchor"))
    mark = error.context_mark if is_alias else error.problem_mark
    column = mark.column if mark else len(written)
    if (is_alias or "token" in str(error.problem)) and written[column : column + 1] in _SPECIAL:
        entry = re.split(r"[,\]}]", written[column:])[0].strip()
        return (written[column], f"write '{entry}'") if entry else None
    return None


def _problem_of_value(file: Path, text: str, error: Exception) -> Problem:
    for node in scalars(compose(text)):
        try:
            value_of(node)
        except (ValueError, yaml.YAMLError):
            found = f"{file}:{line_of(node)}: {node.value} is taken for a date or a number, and is none ({error})"
            return Problem("data", found, f"write it in quotes: '{node.value}'")
    return Problem("data", f"{file} is no YAML: {error}", "mend the file")
