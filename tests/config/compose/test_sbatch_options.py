"""Who knows an option of sbatch is told the key, wherever the option is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from yoloscale.config.compose.flags import split
from yoloscale.config.compose.hydra import compose
from yoloscale.config.compose.sbatch_options import INSTEAD
from yoloscale.config.keys import known
from yoloscale.errors import ConfigError


def refused(*words: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as raised:
        compose(["cluster=slurm", *words])
    return {problem.key: problem.instead for problem in raised.value.problems}


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("nodelist", "cluster.sbatch.nodelist="),
        ("mem_per_gpu", "cluster.sbatch.mem_per_gpu="),
        ("gres", "cluster.gpus_per_node=N"),
        ("gpus_per_task", "cluster.gpus_per_node=N"),
        ("ntasks_per_node", "cluster.procs_per_node=N"),
        ("tres_per_task", "cluster.cpus_per_task=N"),
        ("job_name", "name="),
        ("output", "job/"),
        ("chdir", "in that folder"),
        ("array", "yoloscale train -m"),
        ("signal", "cluster.stop_before_s"),
    ],
)
def test_an_option_as_a_key_as_a_flag_and_passed_through(option: str, hint: str) -> None:
    assert hint in refused(f"cluster.{option}=1")[f"cluster.{option}"]
    flag = f"--{option.replace('_', '-')}"
    assert hint in refused(f"{flag}=1")[flag]
    assert hint in refused(flag, "1")[flag]


def test_all_letters_of_a_script_are_told_at_once() -> None:
    told = refused("-N", "2", "-n", "8", "-w", "node1", "-A", "vision", "-t", "1:00", "-p", "gpu", "-c", "8")
    assert {flag: re.findall(r"cluster\.[\w.]+=", instead) for flag, instead in told.items()} == {
        "-N": ["cluster.nodes=", "cluster.procs_per_node="],
        "-n": ["cluster.nodes=", "cluster.procs_per_node="],
        "-w": ["cluster.sbatch.nodelist="],
        "-A": ["cluster.account="],
        "-t": ["cluster.time="],
        "--cfg": ["cluster.cpus_per_task="],
    }
    assert "cluster.partition=" in refused("-p", "gpu")["--package"]


def test_hydras_own_are_taken_as_before() -> None:
    assert split(["--cfg", "job", "-p", "checkpoint"]).given == {"cfg": "job", "package": "checkpoint"}


def test_a_recipe_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    recipe = "# @package _global_\ncluster:\n  launcher: slurm\n  nodelist: node1\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(recipe)
    (hint,) = refused("--config-dir", str(tmp_path), "experiment=mine").values()
    assert "cluster.sbatch.nodelist=" in hint


def test_gpus_may_be_devices_or_a_number_to_ask_for() -> None:
    assert {"device", "cluster.gpus_per_node"} <= set(re.findall(r"[\w.]+(?==)", refused("--gpus=2")["--gpus"]))


@pytest.mark.parametrize("word", ["time=24:00:00", "--time=24:00:00"])
def test_a_limit_as_sbatch_has_it_is_no_time_of_ultralytics(word: str) -> None:
    assert "like 12:00:00, is cluster.time" in refused(word)["time"]


def test_an_option_without_a_value() -> None:
    assert refused("cluster.sbatch.hold") == {
        "cluster.sbatch.hold": "write cluster.sbatch.hold=VALUE, and true where there is none"
    }


def test_what_is_written_instead_are_keys() -> None:
    keys = {key for hint in INSTEAD.values() for key in re.findall(r"[\w.]+(?==)", hint)}
    assert keys - {"project", "cluster.env.NAME"} <= set(known())
