from __future__ import annotations

from typing import Any

import pytest

from yoloscale.config.schema.sweep import Pruner, Sampler, SearchConfig
from yoloscale.errors import ConfigError
from yoloscale.sweep.configure import configure_all
from yoloscale.sweep.grammar.space import Choices, Interval, read_space
from yoloscale.sweep.search.ready import anchored, plan_search, typed_objectives, wants_search
from yoloscale.sweep.search.sampling import distributions
from yoloscale.sweep.search.settings import problems_of, total

NUMBERS: dict[str, tuple[str, Any]] = {
    "interval": ("lr0=interval(0.1,0.2)", (0.1, 0.2, None, False)),
    "logarithmic": ("lr0=tag(log,interval(1e-4,1e-1))", (1e-4, 1e-1, None, True)),
    "whole": ("close_mosaic=int(interval(1,5))", (1, 5, None, False)),
    "range": ("seed=range(0,4)", (0, 3, None, False)),
    "range with steps": ("seed=range(0,10,3)", (0, 9, 3, False)),
    "range downwards": ("epochs=range(9,1,-2)", (3, 9, 2, False)),
    "range of fractions": ("mosaic=range(0.25,1.01,0.25)", (0.25, 1.0, 0.25, False)),
    "logarithmic range": ("epochs=tag(log,range(1,100))", (1, 99, None, True)),
}


@pytest.mark.parametrize(("typed", "wanted"), NUMBERS.values(), ids=NUMBERS)
def test_numbers_are_read_as_hydra_writes_them(typed: str, wanted: tuple[Any, ...]) -> None:
    (found,) = read_space([typed]).dimensions
    assert isinstance(found, Interval)
    assert (found.low, found.high, found.step, found.is_log) == wanted
    (distribution,) = distributions(read_space([typed])).values()
    assert (distribution.low, distribution.high) == wanted[:2]  # type: ignore[attr-defined]  # of all that have numbers
    assert type(distribution).__name__ == ("IntDistribution" if isinstance(wanted[0], int) else "FloatDistribution")


@pytest.mark.parametrize("typed", ["model=yolo26n,yolo26s", "model=choice(yolo26n,yolo26s)"])
def test_lists_are_choices_also_of_groups(typed: str) -> None:
    (found,) = read_space([typed]).dimensions
    assert isinstance(found, Choices)
    assert found.values == ("yolo26n", "yolo26s")


def test_a_point_is_what_would_be_typed_to_start_it_alone() -> None:
    typed = ["--config-dir=.", "+lr0=interval(0,1)", "epochs=3", "optimizer='SGD',AdamW", "mosaic=range(0,1,0.1)"]
    space = read_space(typed)
    point = space.point(7, {"lr0": 1 / 3, "optimizer": "'SGD'", "mosaic": 0.1 + 0.2})
    assert point.tokens == ("--config-dir=.", "+lr0=0.3333333333333333", "epochs=3", "optimizer='SGD'", "mosaic=0.3")
    assert [choice.word for choice in point.swept] == ["0.333333", "SGD", "0.3"]
    assert space.size is None
    assert read_space(["seed=range(0,4)", "model=yolo26n,yolo26s"]).size == 8


def test_probes_are_all_values_and_both_ends_and_combinations_of_groups() -> None:
    space = read_space(["lr0=interval(0,1)", "model=yolo26n,yolo26s", "data=coco8,shapes", "seed=range(0,9,2)"])
    probes = [point.tokens for point in space.probes(frozenset({"model", "data"}))]
    first = ("lr0=0.0", "model=yolo26n", "data=coco8", "seed=0")
    assert probes[0] == first
    assert {tokens[1:3] for tokens in probes} == {
        (f"model={model}", f"data={data}") for model in ("yolo26n", "yolo26s") for data in ("coco8", "shapes")
    }
    assert {tokens[0] for tokens in probes} == {"lr0=0.0", "lr0=0.5", "lr0=1.0"}
    assert {tokens[3] for tokens in probes} == {"seed=0", "seed=4", "seed=8"}
    assert len(probes) == len(set(probes)) == 8


REFUSED = {
    "close_mosaic=interval(1,5)": ("close_mosaic", "write int(interval(1,5))"),
    "lr0=interval(5,1)": ("lr0", "write the smaller one first"),
    "weight_decay=tag(log,interval(0,1))": ("weight_decay", "start above 0"),
    "mosaic=tag(log,range(0.1,1,0.1))": ("mosaic", "leave the step out"),
    "amp=interval(0,1)": ("amp", "true or false"),
    "optimizer=interval(0,1)": ("optimizer", "commas between them"),
    "model=interval(0,1)": ("model", "commas between them"),
    "cluster.nodes=range(1,3)": ("cluster.nodes", "give it one value"),
    "no_such_key=interval(0,1)": ("no_such_key", "`yoloscale train --cfg job`"),
    "seed=range(3,3)": ("seed", "range(0,3)"),
    "lrf=interval(1,x)": ("lrf", "give a key several values"),
}


def test_all_that_contradicts_the_schema_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        read_space([*REFUSED])
    assert len(raised.value.problems) == len(REFUSED)
    for problem, (key, instead) in zip(raised.value.problems, REFUSED.values(), strict=True):
        assert problem.key == key
        assert instead in problem.instead


def test_ends_and_what_is_between_them_must_be_right() -> None:
    with pytest.raises(ConfigError) as raised:
        plan_search(["-m", "sweep=tpe", "lr0=interval(-1,2)", "momentum=interval(0.8,3)", "device=cpu"])
    assert sorted((problem.key, problem.found.split()[0]) for problem in raised.value.problems) == [
        *(("lr0", "-1.0"), ("lr0", "2.0"), ("momentum", "1.9"), ("momentum", "3.0"))
    ]


def test_whether_it_is_a_search_is_told_by_the_sweep_group() -> None:
    assert wants_search(["-m", "sweep=tpe", "lr0=interval(0,1)"])
    assert wants_search(["-m", "sweep=ultralytics_tuner"])
    assert not wants_search(["-m", "lr0=0.1,0.2"])
    assert not wants_search(["-m", "sweep=lr"])


TWO = {"fitness": "maximize", "gflops": "minimize"}
SETTINGS: dict[str, tuple[SearchConfig, list[str]]] = {
    "default": (SearchConfig(), []),
    "none at all": (SearchConfig(trials=0, startup_trials=-1), ["trials", "startup_trials"]),
    "unknown metric": (SearchConfig(objectives={"metrics/mAP": "maximize"}), ["objectives"]),
    "unknown direction": (SearchConfig(objectives={"fitness": "up"}), ["objectives.fitness"]),
    "two and pruned": (SearchConfig(pruner=Pruner.asha, objectives=TWO), ["pruner"]),
    "cost and pruned": (SearchConfig(pruner=Pruner.median, objectives={"latency_ms": "minimize"}), ["pruner"]),
    "pruned too late": (SearchConfig(pruner=Pruner.median, min_epochs=100), ["min_epochs"]),
    "interval in a grid": (SearchConfig(sampler=Sampler.grid), ["lr0"]),
    "one interval for CMA-ES": (SearchConfig(sampler=Sampler.cmaes), ["sampler"]),
}


@pytest.mark.parametrize(("settings", "keys"), SETTINGS.values(), ids=SETTINGS)
def test_settings_that_cannot_work_are_told_before_anything_starts(settings: SearchConfig, keys: list[str]) -> None:
    space = read_space(["lr0=interval(0,1)", "optimizer=SGD,AdamW"])
    config = configure_all([space.point(0, space.first())]).first
    told = [problem.key.removeprefix("sweep.search.") for problem in problems_of(settings, space, config)]
    assert told == keys


def test_a_value_that_a_list_has_twice_is_told_before_anything_starts() -> None:
    with pytest.raises(ConfigError) as raised:
        plan_search(["-m", "sweep=random", "lrf=0.1,0.2,0.1", "seed=1,2", "model=yolo26n.yaml", "device=cpu"])
    assert [(problem.key, problem.found) for problem in raised.value.problems] == [("lrf", "'0.1', 2 times")]


def test_a_finite_space_has_no_more_points_than_it_has() -> None:
    assert total(SearchConfig(trials=50), read_space(["seed=range(0,4)", "lr0=0.1,0.2"])) == 8
    assert total(SearchConfig(trials=5), read_space(["seed=range(0,4)", "lr0=0.1,0.2"])) == 5
    assert total(SearchConfig(trials=50), read_space(["lr0=interval(0,1)"])) == 50


def test_typed_objectives_stand_in_place_of_those_of_a_yaml() -> None:
    typed = "sweep.search.objectives={metrics/mAP50-95(B):maximize,latency_ms:minimize}"
    assert typed_objectives([typed]) == {"metrics/mAP50-95(B)": "maximize", "latency_ms": "minimize"}
    planned = plan_search(["-m", "sweep=pareto", typed, "model=yolo26n,yolo26s"])
    assert [*planned.settings.objectives] == ["metrics/mAP50-95(B)", "latency_ms"]


def test_files_are_named_so_that_points_can_be_composed_elsewhere(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b").mkdir()
    for name in ("a b/one.yaml", "a b/two.yaml"):
        (tmp_path / name).touch()
    line = anchored(["-cd", "a b", "data=a b/one.yaml,a b/two.yaml", "model=yolo26n", "batch=0/1", "x='a b/one.yaml'"])
    both = ",".join(f"'{tmp_path}/a b/{name}.yaml'" for name in ("one", "two"))
    words = (f"data={both}", "model=yolo26n", "batch=0/1", "x='a b/one.yaml'")
    assert (line.tokens, line.argv) == (words, (f"--config-dir={tmp_path}/a b", *words))
