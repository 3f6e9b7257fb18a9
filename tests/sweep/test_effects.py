"""Swept and searched arguments that change nothing."""

from __future__ import annotations

import pytest

from yoloscale.errors import ConfigError
from yoloscale.launch.configure import configure
from yoloscale.sweep.configure import configure_all
from yoloscale.sweep.grammar.points import expand
from yoloscale.sweep.grammar.wandb_sweep import wandb_sweep
from yoloscale.sweep.search.ready import plan_search

HERE = ("device=cpu", "model=yolo26n", "cluster.procs_per_node=1")
AUTO = "with optimizer=auto, which chooses its own"


def refused(*tokens: str) -> list[str]:
    words = [*HERE, *tokens]
    with pytest.raises(ConfigError) as raised:
        plan_search(words) if any(word.startswith("sweep=") for word in tokens) else configure_all(expand(words))
    return [f"{problem.key}: {problem.found}" for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (["lr0=0.001,0.05", "seed=0,1"], [f"lr0: swept, but no effect {AUTO}"]),
        (
            ["lr0=0.001,0.05", "optimizer=auto,SGD"],
            [f"lr0: swept, but no effect {AUTO} (2 of 4 points, the first: lr0=0.001,optimizer=auto)"],
        ),
        (["patience=100,200", "epochs=50"], ["patience: swept, but no effect with epochs=50"]),
        (
            ["angle=1,2", "mask_ratio=2,4"],
            [
                "angle: swept, but no effect in task=detect, only in obb",
                "mask_ratio: swept, but no effect in task=detect, only in segment",
            ],
        ),
        (
            ["mosaic=0,1", "close_mosaic=0,10"],
            [
                "close_mosaic: swept, but no effect without mosaic, mixup, cutmix and copy_paste, which it ends "
                "(2 of 4 points, the first: mosaic=0,close_mosaic=0)"
            ],
        ),
        (["sweep=tpe", "lr0=tag(log,interval(1e-4,1e-1))"], [f"lr0: searched, but no effect {AUTO}"]),
        (["sweep=random", "pose=interval(1,20)"], ["pose: searched, but no effect in task=detect, only in pose"]),
        (
            ["sweep=random", "model=yolo26n,yolo26s,yolo26m", "mixup=interval(0,1)", "epochs=5"],
            [
                "mixup: searched, but no effect with close_mosaic=10 of 5 epochs, which ends it before the first",
            ],
        ),
    ],
)
def test_points_that_train_the_same_are_refused(tokens: list[str], told: list[str]) -> None:
    assert refused(*tokens) == told


@pytest.mark.parametrize(
    "tokens",
    [
        ["lr0=0.001,0.05", "optimizer=SGD,AdamW"],
        ["lr0=0.02", "optimizer=SGD,auto"],
        ["patience=5,100,20", "epochs=50"],
        ["mosaic=0.5,1", "close_mosaic=0,10"],
        ["workers=0,2", "seed=1"],
        ["weight_decay=0,0.001", "nbs=16,64"],
        ["momentum=0.8,0.9"],
    ],
)
def test_points_that_differ_are_taken(tokens: list[str]) -> None:
    configure_all(expand([*HERE, *tokens]))


@pytest.mark.parametrize(
    ("tokens", "lines"),
    [
        (["lr0=interval(0,0.1)", "optimizer=auto,AdamW"], ["lr0: at some points no effect"]),
        (
            ["warmup_bias_lr=interval(0,0.1)", "optimizer=auto,SGD", "warmup_epochs=0,3"],
            ["warmup_bias_lr: at some points"],
        ),
        (["close_mosaic=int(interval(1,9))", "mosaic=interval(0,1)"], []),
        (["weight_decay=interval(0,0.01)", "lr0=0.05"], ["lr0=0.05: no effect"]),
        (["momentum=interval(0.8,0.9)"], ["momentum: no effect with optimizer=auto up to 10,000 optimizer steps"]),
    ],
)
def test_a_search_in_part_of_which_an_argument_counts_is_taken(tokens: list[str], lines: list[str]) -> None:
    said = list[str]()
    plan_search([*HERE, "sweep=tpe", *tokens], said.append)
    assert len(said) == len(lines)
    assert all(line.startswith(start) for line, start in zip(said, lines, strict=True))


@pytest.mark.parametrize(
    ("tokens", "lines"),
    [
        (["sweep=tpe", "sweep.search.min_epochs=3"], ["sweep.search.min_epochs=3: no effect without a pruner"]),
        (["sweep=random", "sweep.search.startup_trials=3"], ["sweep.search.startup_trials=3: no effect with sampler"]),
        (["sweep=random", "sweep.search.startup_trials=3", "sweep.search.pruner=median"], []),
        (["sweep=tpe", "sweep.search.startup_trials=3"], []),
        (["sweep=asha", "sweep.search.min_epochs=3"], []),
    ],
)
def test_settings_of_a_search_that_nobody_reads_are_told(tokens: list[str], lines: list[str]) -> None:
    said = list[str]()
    plan_search([*HERE, "weight_decay=interval(0,0.01)", *tokens], said.append)
    assert [line.partition(":")[0] for line in said] == [line.partition(":")[0] for line in lines]
    assert all(line.startswith(start) for line, start in zip(said, lines, strict=True))


def test_a_sweep_says_once_what_all_its_points_have() -> None:
    said = list[str]()
    configure_all(expand([*HERE, "seed=range(0,5)", "momentum=0.9", "lr0=0.01"]), say=said.append)
    assert [line.partition("=")[0] for line in said] == ["lr0", "momentum"]


def test_one_run_says_it_and_starts() -> None:
    said = list[str]()
    assert configure([*HERE, "lr0=0.05"], said.append).lr0 == 0.05
    assert [line.partition(":")[0] for line in said] == ["lr0=0.05"]


def test_sweeps_of_wandb_are_checked_as_well() -> None:
    with pytest.raises(ConfigError, match="searched, but no effect with optimizer=auto"):
        wandb_sweep(["model=yolo26n", "lr0=interval(0,0.1)"])
    said = list[str]()
    wandb_sweep(["model=yolo26n", "lr0=interval(0,0.1)", "optimizer=auto,SGD"], say=said.append)
    assert len(said) == 1


def test_a_sweep_of_before_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that an earlier version began, typed again."""
    from yoloscale.sweep import configure as module

    words = [*HERE, "name=s", "lr0=0.1,0.2"]
    monkeypatch.setattr(module, "is_sweep", lambda path: True)
    assert len(configure_all(expand(words)).points) == 2
