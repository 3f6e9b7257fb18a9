"""Searches go on with the space that they began with, whatever the same words are read as today."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.searches import ready

from yoloscale.config.freeze import freeze, load
from yoloscale.errors import ConfigError
from yoloscale.runs.sweep_directory import SweepRecord, read, write
from yoloscale.study import study as studies
from yoloscale.sweep.grammar.space import Interval, Space, read_space
from yoloscale.sweep.search import ready as ready_module
from yoloscale.sweep.search import search as search_module
from yoloscale.sweep.search.ready import plan_search
from yoloscale.sweep.search.recorded import entry_of, plain, recorded_space
from yoloscale.sweep.search.search import Search, ask_point, open_search

MIXUP = {"key": "mixup", "low": 0.0, "high": 1.0, "step": None, "log": False}
MOMENTUM = {"key": "warmup_momentum", "low": 0.0, "high": 0.95, "step": None, "log": False}
MODEL = {"key": "model", "choices": ["yolo26n", "yolo26s"]}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own" / "sweep").mkdir(parents=True)
    (tmp_path / "own" / "sweep" / "mine.yaml").write_text(
        "search: {}\nparams: {box: 'interval(1,9)', mixup: 'interval(0,1)', epochs: 7}"
    )


def of_before(typed: Sequence[str], *dimensions: dict[str, Any]) -> Space:
    """The space of a search that an earlier version began: its dimensions in the study, the rest as it was typed."""
    journal = Path("study.journal")
    entry = {"op_code": 2, "user_attr": {"space": dimensions}}
    journal.write_text(json.dumps({"op_code": 0}) + "\n" + json.dumps(entry) + "\n")
    return recorded_space(SweepRecord(tuple(typed), ()), journal)


@pytest.mark.parametrize(
    ("typed", "dimensions", "token"),
    [
        (["mixup=interval(0,1)", "freeze=0,10"], [MIXUP], "freeze=0,10"),
        (["mixup=interval(0,1)", "scale=null,0.5"], [MIXUP], "scale=null,0.5"),
        (["model=yolo26n,yolo26s", "mixup=interval(0,1)"], [MODEL, MIXUP], None),
        (["--config-dir=own", "sweep=mine"], [MIXUP], "epochs=7"),
        (["--config-dir=own", "sweep=mine"], [MIXUP, MOMENTUM], "epochs=7"),
        (["mixup=range(0,0.4,0.1)"], [{**MIXUP, "high": 0.4, "step": 0.1}], None),
    ],
)
def test_the_dimensions_are_those_on_record(
    typed: Sequence[str], dimensions: Sequence[dict[str, Any]], token: str | None
) -> None:
    """Lists without brackets stayed lists; presets have got keys since, and lost others."""
    space = of_before(typed, *dimensions)
    found = [{name: value for name, value in entry_of(each).items() if name != "typed"} for each in space.dimensions]
    assert sorted(found, key=str) == sorted(dimensions, key=str)
    assert token is None or token in space.parts
    assert not any(isinstance(part, str) and part.startswith("box") for part in space.parts)


def test_a_search_of_now_is_read_without_its_words() -> None:
    space = read_space(["--config-dir=own", "sweep=mine", "+lr0=0.1,0.2", "freeze=choice(0,[1,2])", "epochs=3"])
    record = SweepRecord(("nonsense=(",), (), space=plain(space))
    again = recorded_space(replace(record, space=tuple(json.loads(json.dumps(record.space)))), Path("nowhere"))
    first = {each.key: each.probes()[0] for each in space.dimensions}
    assert plain(again) == plain(space)
    assert again.point(0, first).tokens == space.point(0, first).tokens
    with pytest.raises(ConfigError, match="another name="):
        recorded_space(replace(record, space=({"key": "mixup", "from": 0.0},)), Path("nowhere"))


@pytest.mark.long
def test_an_older_search_is_joined_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its list had no brackets, its range its end by rounding, and its preset a key that AdamW does not read."""
    monkeypatch.setattr(ready_module, "prepare_all", lambda probes, say: probes)
    monkeypatch.setattr(search_module, "prepare", lambda config, say: config)
    common = ["-m", "name=s", "device=cpu", "model=yolo26n.yaml", "optimizer=AdamW", "sweep=random"]

    def join(*tokens: str) -> tuple[Search, list[str]]:
        said = list[str]()
        return ready(plan_search([*common, *tokens], said.append), print), said

    search, _ = join("mixup=range(0,0.4,0.1)", "freeze=[0,10]")
    [mixup] = search.space.dimensions
    assert isinstance(mixup, Interval)
    before = [entry_of(replace(mixup, high=0.4)), MOMENTUM]
    typed = (*common, "mixup=range(0,0.4,0.1)", "freeze=0,10")
    write(search.sweep, replace(read(search.sweep), overrides=typed, space=None))
    studies.load(search.sweep.journal).set_user_attr("space", before)
    freeze(replace(search.base, warmup_momentum=0.0), search.sweep.base)

    joined, said = join("mixup=range(0,0.4,0.1)", "freeze=[0,10]", "sweep.search.trials=60")
    assert joined == open_search(search.sweep)
    assert joined.total == 60
    assert said[1:] == [
        "warmup_momentum: searched, but no effect with optimizer=AdamW, whose momentum has no warm-up; search 's' goes "
        "on with it as it began"
    ]
    asked = [ask_point(joined, index) for index in range(2)]
    points = [load(each[0].config) for each in asked if each is not None]
    assert [point.freeze for point in points] == [[0, 10]] * 2
    assert len({point.warmup_momentum for point in points}) == 2
    planned = plan_search([*common, "mixup=range(0,0.4,0.1)", "freeze=[0,10]"])
    assert planned.space == joined.space, "which is what a person is shown"
    with pytest.raises(ConfigError) as raised:
        join("mixup=range(0,0.6,0.1)", "freeze=choice(0,10)")
    assert [problem.key for problem in raised.value.problems] == ["mixup", "freeze"]
