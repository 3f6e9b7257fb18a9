"""The command that starts another run from the weights of one that cannot go on as it is wanted."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from yoloscale.config.freeze import load, parse
from yoloscale.config.kinds import kind_of
from yoloscale.config.schema import Config, PathsConfig, RunConfig
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.sweep_directory import sweep_of
from yoloscale.system.files import first_free

# what the new run has from the weights, or by itself
_REPLACED = ("name", "model", "pretrained", "resume", "paths.runs", "project", "-m", "--multirun", "--detach")
_START = ("model", "model.weights", "model.architecture", "pretrained")  # what a run starts from
_RECIPES = ("cfg", "experiment", "--config-name")
_ALSO = {"device": ("cluster.device", "cluster.gpus", "cluster.procs_per_node"), "task": ("model",)}


def offer(run: RunDirectory, changes: Sequence[str] = ()) -> str:
    """The end of a sentence that has `command` below it, and says whether that starts from the run's weights."""
    source = "" if _weights(run, changes) is None else " from its weights"
    return f"start another run{source}:\n{command(run, changes)}"


def command(run: RunDirectory, changes: Sequence[str] = ()) -> str:
    """`yoloscale train` as it was typed for a run, with changes, from its best weights (else its last), as another run.

    Of a run that has no weights yet, from the beginning; with another model among the changes, from that.
    """
    weights = _weights(run, changes)
    config, typed = load(run.config, of=RunConfig), typed_for(run)
    if not isinstance(config, Config):
        words = [*without(typed, ["name", "--detach", "paths.runs", "project", *map(key_of, changes)]), *changes]
        return f"yoloscale {kind_of(config.kind).verb} {shlex.join([*words, *_place_and_name(run)])}"
    if weights is not None:  # what says once more what the run was started from is no change
        changes, kept = [word for word in changes if not _is_start(word)], []
    else:
        kept = without([token for token in typed if _is_start(token)], [*map(key_of, changes)])
    last = {key_of(word): word for word in typed}  # of a key that was typed twice, the second
    words = [*kept, *without(typed, [*_REPLACED, *map(key_of, changes)])]
    words = [_where_it_lies(word, config) for word in words if word == last[key_of(word)]] + list(changes)
    if weights is not None:
        words.insert(0, f"model={_shown(weights)}")
        if config.pretrained is not True and any(key_of(word) in _RECIPES for word in words):
            words.append("pretrained=true")
    return f"yoloscale train {shlex.join([*words, *_place_and_name(run)])}"


def _place_and_name(run: RunDirectory) -> list[str]:
    """Where the new run lies and what it is called: beside the old one."""
    folder = (sweep_of(run) or run).path.parent
    place = [] if folder == Path(PathsConfig().runs).absolute() else [f"paths.runs={_shown(folder)}"]
    return [*place, f"name={first_free(folder / run.name, 2).name}"]


def _weights(run: RunDirectory, changes: Sequence[str]) -> Path | None:
    """The run's weights; None if it has none, or if the changes name something else to start from."""
    typed = typed_for(run)
    if any(_is_start(word) and word not in typed for word in changes):
        return None
    return next((file for file in (run.best_weights, run.last_weights) if file.is_file()), None)


def _is_start(token: str) -> bool:
    return key_of(token) in _START


def typed_for(run: RunDirectory) -> list[str]:
    """What overrides.yaml holds; nothing where it cannot be read."""
    try:
        content = parse(run.overrides.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return []
    return [str(token) for token in content] if isinstance(content, list) else []


def key_of(token: str) -> str:
    """The key of a token as typed, or the word itself."""
    key = token.partition("=")[0].strip()
    return key if key.startswith("--") else key.lstrip("+~")


def without(tokens: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Tokens less those for any of the keys, or for what lies below them."""
    gone = {*keys, *(also for key in keys for also in _ALSO.get(key, ()))}
    return [
        token
        for token in tokens
        if not any(key_of(token) == key or key_of(token).startswith(f"{key}.") for key in gone)
    ]


def _where_it_lies(token: str, config: Config) -> str:
    """The dataset's path as it was frozen: the one that was typed may be read from another folder only."""
    source = config.data.source
    return f"data={_shown(Path(source))}" if key_of(token) == "data" and Path(source).is_absolute() else token


def _shown(file: Path) -> str:
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)
