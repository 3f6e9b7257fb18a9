"""Hydra's own settings: those that do nothing here are told, wherever they come from; nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from yoloscale.config.compose.hydra import compose
from yoloscale.config.compose.many import compose_each
from yoloscale.errors import ConfigError


def said_of(*argv: str) -> list[str]:
    said: list[str] = []
    compose(argv, say=said.append)
    return said


@pytest.mark.parametrize(
    ("token", "key", "instead"),
    [
        ("hydra.run.dir=/scratch/me/detect/one", "hydra.run.dir", "project=/scratch/me/detect name=one"),
        ("hydra.run.dir=out/${now:%Y-%m-%d}", "hydra.run.dir", "project=PROJECT name=NAME"),
        ("hydra.sweep.dir=multirun/rates", "hydra.sweep.dir", "project=multirun name=rates"),
        ("hydra.sweep.subdir=${hydra.job.override_dirname}", "hydra.sweep.subdir", "folder of a point"),
        ("hydra.job.name=first", "hydra.job.name", "name=first"),
        ("hydra.job.chdir=true", "hydra.job.chdir", "folder that you typed in"),
        ("+hydra.job.env_set.NCCL_DEBUG=INFO", "hydra.job.env_set", "cluster.env.NCCL_DEBUG=…"),
        ("hydra.job.env_copy=[HOME]", "hydra.job.env_copy", "cluster.export"),
        ("hydra.output_subdir=.hydra", "hydra.output_subdir", "config.yaml"),
        ("hydra.verbose=true", "hydra.verbose", "yoloscale logs"),
        ("hydra/job_logging=default", "hydra.job_logging", "yoloscale logs"),
        ("+hydra.callbacks.mine._target_=my.Callback", "hydra.callbacks", "starts no job"),
    ],
)
def test_what_is_typed_and_read_by_nobody_is_said_with_what_to_write(token: str, key: str, instead: str) -> None:
    (line,) = said_of(token, "epochs=3")
    assert line.startswith(f"{key}=")
    assert instead in line


@pytest.mark.parametrize(
    "argv",
    [[], ["epochs=3", "experiment=finetune", "data=coco8"], ["hydra.job.chdir=false"], ["hydra.output_subdir=null"]],
    ids=str,
)
def test_what_yoloscale_does_anyway_needs_no_word(argv: list[str]) -> None:
    assert said_of(*argv) == []


def test_recipes_and_groups_of_ones_own_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    recipe = (
        "# @package _global_\nhydra:\n  run:\n    dir: results/${name}\n  job:\n    env_set: {WANDB_API_KEY: secret}\n"
    )
    (tmp_path / "experiment" / "mine.yaml").write_text(recipe)
    run, job = said_of("--config-dir", str(tmp_path), "experiment=mine", "name=a")
    assert "results/${name}" in run
    assert "WANDB_API_KEY=…" in job
    assert "secret" not in job
    (tmp_path / "debug").mkdir()
    (tmp_path / "debug" / "own.yaml").write_text("# @package _global_\nhydra:\n  job:\n    chdir: true\n")
    (line,) = said_of("--config-dir", str(tmp_path), "debug=own")
    assert "hydra.job.chdir=true" in line


def test_the_points_of_a_sweep_say_it_once() -> None:
    said: list[str] = []
    found = compose_each([["hydra.sweep.dir=a/b", f"seed={seed}"] for seed in range(4)], say=said.append)
    assert not any(isinstance(config, ConfigError) for config in found)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("typed", "recipe", "key"),
    [
        ("hydra.mode=MULTIRUN", "", "hydra.mode"),
        ("hydra.sweeper.params.lr0=0.1,0.2", "", "hydra.sweeper.params.lr0"),
        ("experiment=mine", "hydra:\n  mode: MULTIRUN\n", "hydra.mode"),
        ("experiment=mine", "hydra:\n  sweeper:\n    params:\n      seed: 0,1\n", "hydra.sweeper.params"),
    ],
)
def test_hydras_word_for_a_sweep_is_refused_where_one_run_is_started(
    tmp_path: Path, typed: str, recipe: str, key: str
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{recipe}")
    argv = ["--config-dir", str(tmp_path), typed]
    with pytest.raises(ConfigError) as raised:
        compose(argv)
    (problem,) = raised.value.problems
    assert problem.key == key
    assert "-m" in problem.instead
    compose(argv[:2] if recipe == "" else argv, in_sweep=True)
