"""From what was typed after `train -m` to a search that can be started, or joined."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser

from yoloscale.backends import registry
from yoloscale.config.compose import command_line, flags
from yoloscale.config.compose.catalog import read_catalog
from yoloscale.config.compose.hydra import check, compose
from yoloscale.config.freeze import freeze
from yoloscale.config.keys import is_group
from yoloscale.config.locations import configs_folder
from yoloscale.config.quoting import quote_odd
from yoloscale.config.schema import Config
from yoloscale.config.schema.sweep import SearchConfig, SweepConfig
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch.configure import task_of
from yoloscale.runs.sweep_directory import SweepDirectory, SweepRecord, is_sweep, read, write
from yoloscale.study import study as studies
from yoloscale.sweep.configure import ConfiguredSweep, configure_all, resolved
from yoloscale.sweep.directory import TakenSweep
from yoloscale.sweep.effects import composable, own_groups, useless
from yoloscale.sweep.freeze import (
    gone_on,
    name_gpus,
    planned,
    refuse_if_foreign,
    remove_search,
    removed_if_it_fails,
    take_folder,
)
from yoloscale.sweep.grammar.space import Space, read_space
from yoloscale.sweep.prepare import prepare_all
from yoloscale.sweep.problems import attempt
from yoloscale.sweep.search.recorded import entry_of, plain
from yoloscale.sweep.search.search import Search, open_search
from yoloscale.sweep.search.settings import problems_of, remarks_of, total
from yoloscale.sweep.search.submit import open_indices
from yoloscale.system.formatting import another
from yoloscale.system.remarks import Say, once, silent

_MAY_CHANGE = ("trials",)
_BARE_PATH = re.compile(r"[^'\"\[\](){},=$\\]+")


@dataclass(frozen=True)
class PlannedSearch:
    """A search that is known to be right, of which nothing is on disk yet; `probes` are points that were tried."""

    typed: tuple[str, ...]
    space: Space
    settings: SearchConfig
    probes: ConfiguredSweep

    @property
    def base(self) -> Config:
        """The config of the space's first point."""
        return planned(self.probes.first, "base")


def wants_search(typed: Sequence[str] | flags.Flags) -> bool:
    """Whether what was typed after `train -m` is a search. Raises ConfigError where that cannot be told."""
    line = flags.parsed(typed)
    keys = [token.partition("=")[0].strip().lstrip("+") for token in line.argv]
    if not any(key.startswith(("sweep", "experiment", "hydra", "-cd", "--config")) for key in keys):
        return False  # nothing that could name one: the schema's default has none
    return _first(read_space(line)).sweep.search is not None


def _first(space: Space) -> Config:
    return compose(space.point(0, space.first()).tokens, task_of, in_sweep=True)


def plan_search(typed: Sequence[str] | flags.Flags, say: Say = silent) -> PlannedSearch:
    """Check a search as a whole: its settings, and a point for each value and each end. Raises ConfigError with all.

    `say` gets each remark once.
    """
    line, say = anchored(typed), once(say)
    space = read_space(line, say)
    first = _first(space)
    assert first.sweep.search is not None, "asked by `wants_search`"
    settings = replace(first.sweep.search, objectives=typed_objectives(line.tokens) or first.sweep.search.objectives)
    problems = problems_of(settings, space, first)
    probes = attempt(configure_all, space.probes(own_groups()), say=say, are_probes=True)
    if isinstance(probes, ConfigError):
        raise ConfigError([*problems, *probes.problems])
    search = PlannedSearch(line.argv, space, settings, probes)
    begun = probes.directory(probes.name) if probes.name is not None else None
    if begun is None or not is_sweep(begun.path):  # what is there goes on as it is
        begun = None
        useless_problems, lines = useless(space, [each.composed for each in probes.points])
        problems += useless_problems
        for text in [*lines, *remarks_of(settings)]:
            say(text)
    if problems := [*problems, *_site(search, begun, say)]:
        raise ConfigError(problems)
    if probes.name is not None:
        refuse_if_taken(search, say)
    return search if begun is None else replace(search, space=open_search(begun).space)


def take_search(search: PlannedSearch, say: Say) -> TakenSweep:
    """Prepare all that any point may need, then make the search's folder, or join the search of that name; locked."""
    search = replace(search, probes=prepare_all(search.probes, say))
    with ExitStack() as after_error:
        taken = after_error.enter_context(take_folder(search.probes))
        if taken.is_new:
            _make(taken.directory, search)
        else:
            _join(taken.directory, search)
        name_gpus(search.probes, taken.directory)
        after_error.pop_all()
    return taken


def _site(search: PlannedSearch, begun: SweepDirectory | None, say: Say) -> list[Problem]:
    """What the site says of the elements that would be submitted: of a search that was begun, those that are left."""
    backend = registry.of(search.probes.first.cluster)
    if backend is None:
        return []
    points = total(search.settings, search.space)
    if begun is not None:
        points = len(open_indices(replace(open_search(begun), settings=search.settings)))
    return backend.check_site(search.probes.first, say, points=points)


def refuse_if_taken(search: PlannedSearch, say: Say = silent) -> None:
    """Raise ConfigError if the folder of that name holds something else, or another search.

    `say` gets a line for what only an earlier version searched over.
    """
    directory = search.probes.directory(str(search.probes.name))
    refuse_if_foreign(directory)
    if is_sweep(directory.path):
        _compared(directory, search, say)


def typed_objectives(tokens: Sequence[str]) -> dict[str, str]:
    """The objectives that were typed: they stand in place of a YAML's, where Hydra would put them beside these."""
    catalog, objectives = read_catalog([configs_folder()]), dict[str, str]()
    for token in tokens:
        if token.partition("=")[0].strip().lstrip("+") == "sweep.search.objectives":
            overrides, problems = command_line.rewrite([token], catalog)
            if problems := problems or check(overrides):
                raise ConfigError(problems)
            objectives = cast("dict[str, str]", OverridesParser.create().parse_override(overrides[0]).value())
    return objectives


def anchored(typed: Sequence[str] | flags.Flags) -> flags.Flags:
    """What was typed, with paths of files that are there made absolute: points are composed later, and elsewhere."""
    line = flags.parsed(typed)
    folders = {name: str(Path(line.given[name]).absolute()) for name in ("config-dir",) if name in line.given}
    values, tokens = {**line.given, **folders}, tuple(map(_anchored, line.tokens))
    words = (f"--{name}={value}" if value else f"--{name}" for name, value in values.items())
    return replace(line, given=values, tokens=tokens, argv=(*words, *tokens))


def _anchored(token: str) -> str:
    key, equals, value = token.partition("=")
    words = [word.strip() for word in value.split(",")]
    are_paths = all(_BARE_PATH.fullmatch(word) and len(Path(word).parts) > 1 for word in words)
    if not equals or not are_paths or not all(Path(word).exists() for word in words):
        return token
    paths = [str(Path(word).absolute()) for word in words]
    return f"{key}=" + ",".join(map(quote_odd, paths))


def _make(directory: SweepDirectory, search: PlannedSearch) -> None:
    remove_search(directory)
    with removed_if_it_fails(directory):
        try:
            studies.create(directory.journal, search.settings)
        except studies.StudyError as error:
            raise ConfigError(Problem("sweep.search", str(error), "see what keeps it from being written")) from error
        freeze(search.base, directory.base)
        write(directory, SweepRecord(search.typed, (), _settings(search), plain(search.space)))


def _join(directory: SweepDirectory, search: PlannedSearch) -> None:
    """Take up a search of that name; where it runs, and how many points it has, are as typed now."""
    freeze(_compared(directory, search), directory.base)
    record = read(directory)
    if record.settings != (settings := _settings(search)):
        write(directory, replace(record, settings=settings))


def _compared(directory: SweepDirectory, search: PlannedSearch, say: Say = silent) -> Config:
    """What the search goes on with. Raises ConfigError if that is another one than is there."""
    there = open_search(directory)
    kept = _kept(there, search.space)
    if problems := [*_other_settings(there, search.settings), *_other_space(there, search.space, kept)]:
        raise ConfigError(problems)
    for key, reason in kept.items():
        say(f"{key}: {reason}; search {directory.name!r} goes on with it as it began")
    config = planned(resolved(search.probes.points[0].composed, there.base, search.probes.machine), "base")
    searched = {field.name for field in fields(Config)} & {each.key for each in there.space.dimensions}
    as_began = {key: getattr(there.base, key) for key in searched if not is_group(key)}
    return gone_on(directory, there.base, replace(config, **as_began))


def _kept(there: Search, typed: Space) -> dict[str, str]:
    """Dimensions that a search has without effect, each with why: earlier versions and their presets took them."""
    missing = {each.key for each in there.space.dimensions} - {each.key for each in typed.dimensions}
    if not missing:
        return {}
    problems, _ = useless(there.space, composable(there.space.probes(frozenset())))
    return {problem.key: problem.found for problem in problems if problem.key in missing}


def _other_settings(there: Search, typed: SearchConfig) -> list[Problem]:
    names = [field.name for field in fields(SearchConfig) if field.name not in _MAY_CHANGE]
    pairs = [(name, getattr(there.settings, name), getattr(typed, name)) for name in names]
    of = f"search {there.sweep.name!r}"
    return [another(f"sweep.search.{name}", str(old), str(new), of=of) for name, old, new in pairs if old != new]


def _other_space(there: Search, typed: Space, kept: Collection[str]) -> list[Problem]:
    try:
        studies.load(there.sweep.journal)
    except studies.StudyError as error:
        instead = "give another name= to start again; its runs stay as they are"
        return [Problem("study.journal", str(error), instead)]
    before, after = ({each.key: entry_of(each) for each in space.dimensions} for space in (there.space, typed))
    pairs = [(key, before.get(key), after.get(key)) for key in {**before, **after} if key not in kept]
    of = f"search {there.sweep.name!r}"
    return [another(key, _in_words(old), _in_words(new), of=of) for key, old, new in pairs if not _is_same(old, new)]


def _is_same(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> bool:
    """Whether two dimensions are one. Earlier versions counted ranges in binary fractions.

    So floats that differ by rounding only are the same; and rounding decided whether the end was part of a range.
    """
    if old is None or new is None:
        return old is new
    alike = [old]
    if isinstance(old.get("step"), float):
        alike += [{**old, "high": old["high"] - old["step"]}, {**old, "low": old["low"] + old["step"]}]
    return any(_rounded(each) == _rounded(new) for each in alike)


def _rounded(dimension: Mapping[str, Any]) -> dict[str, Any]:
    values = ((name, value) for name, value in dimension.items() if name != "typed")
    return {name: f"{value:.12g}" if isinstance(value, float) else value for name, value in values}


def _in_words(dimension: Mapping[str, Any] | None) -> str:
    if dimension is None:
        return "not searched"
    facts = [(name, value) for name, value in dimension.items() if name not in ("key", "typed") and value is not None]
    return ", ".join(f"{name} {value}" for name, value in facts)


def _settings(search: PlannedSearch) -> SweepConfig:
    return replace(search.probes.points[0].composed.sweep, search=search.settings)
