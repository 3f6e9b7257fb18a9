"""A sweep typed for us as a sweep of W&B's, and back: what its agent then types is a point of ours."""

from __future__ import annotations

from typing import Any

import pytest

from yoloscale.config.compose.hydra import compose
from yoloscale.errors import ConfigError
from yoloscale.sweep.grammar.wandb_sweep import wandb_sweep


def as_the_agent_types(sweep: dict[str, Any], **values: Any) -> list[str]:
    """`${args_no_hyphens}` as wandb's agent replaces it, without the command's own name."""
    words: list[str] = []
    for word in sweep["command"]:
        words += [f"{key}={value}" for key, value in values.items()] if word == "${args_no_hyphens}" else [word]
    assert words[:2] == ["yoloscale", "train"]
    return words[2:]


def test_lists_are_a_grid() -> None:
    typed = [
        "-m",
        "weight_decay=0.1,1e-3",
        "model=yolo26n,yolo26s",
        "seed=range(0,3)",
        "amp=true,false",
        "epochs=3",
        "name=x",
    ]
    sweep = wandb_sweep(typed, method="grid")
    assert (sweep["name"], sweep["method"]) == ("x", "grid")
    assert sweep["metric"] == {"name": "fitness", "goal": "maximize"}
    assert sweep["parameters"] == {
        "weight_decay": {"values": [0.1, 0.001]},
        "model": {"values": ["yolo26n", "yolo26s"]},
        "seed": {"values": [0, 1, 2]},
        "amp": {"values": ["true", "false"]},
    }
    config = compose(as_the_agent_types(sweep, weight_decay=0.001, model="yolo26s", seed=2, amp="false"))
    assert (config.weight_decay, config.model.name, config.seed, config.amp, config.epochs) == (
        0.001,
        "yolo26s",
        2,
        False,
        3,
    )
    assert config.name is None, "of which there would be one only"
    assert config.logger.wandb is not None


def test_words_with_digits_are_no_numbers() -> None:
    """YAML 1.1 would read 1:30 as a number in base 60."""
    assert wandb_sweep(["-m", "data=1:30,2:45"])["parameters"]["data"] == {"values": ["1:30", "2:45"]}


def test_intervals_are_distributions() -> None:
    sweep = wandb_sweep(
        [
            "weight_decay=tag(log,interval(1e-4,1e-1))",
            "lrf=interval(0.6,0.98)",
            "batch=16,32",
            "seed=int(interval(1,9))",
        ]
    )
    assert sweep["method"] == "bayes"
    assert sweep["parameters"] == {
        "weight_decay": {"distribution": "log_uniform_values", "min": 0.0001, "max": 0.1},
        "lrf": {"distribution": "uniform", "min": 0.6, "max": 0.98},
        "batch": {"values": [16, 32]},
        "seed": {"distribution": "int_uniform", "min": 1, "max": 9},
    }


@pytest.mark.parametrize(
    ("typed", "method", "found"),
    [
        (["epochs=3"], None, "nothing to sweep over"),
        (["weight_decay=interval(0,0.1)"], "grid", "an interval in a grid"),
        (["weight_decay=interval(1,0.1)"], None, "not below"),
        (["epochz=interval(1,2)"], None, "no such key"),
    ],
)
def test_what_is_no_sweep_is_refused(typed: list[str], method: str | None, found: str) -> None:
    with pytest.raises(ConfigError) as refused:
        wandb_sweep(typed, method)
    assert found in str(refused.value)


def test_a_logger_of_ones_own_stays() -> None:
    words = wandb_sweep(["weight_decay=0.1,0.2", "logger=wandb_offline", "sweep.parallel=2"])["command"]
    assert words == ["yoloscale", "train", "logger=wandb_offline", "${args_no_hyphens}"]
