from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from yoloscale.config.errors import ConfigError
from yoloscale.config.freeze import load
from yoloscale.config.schema import Config, Task
from yoloscale.launch.claim import claim, default_name, named_run, proposed_run
from yoloscale.runs import events

Make = Callable[..., Config]
NAMES = ["plain", "two words", "it's", 'say "hi"', "$(touch x)", "`touch x`", "ä; rm -rf *", "-dash", "a=b,c"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_folder_name_and_nothing_else(config: Make, tmp_path: Path, name: str) -> None:
    taken = claim(config(name), [f"name={name}"])
    assert taken.run.path == tmp_path / "runs" / name
    assert load(taken.run.config).name == name
    assert yaml.safe_load(taken.run.overrides.read_text()) == [f"name={name}"]
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == [name]


def test_without_a_name_model_and_dataset_are_it(config: Make) -> None:
    names = []
    for _ in range(3):
        unnamed = config(None)
        assert proposed_run(unnamed).name not in names
        names.append(claim(unnamed, []).run.name)
        assert unnamed.name == names[-1]
    assert names == ["yolo26n-shapes", "yolo26n-shapes-2", "yolo26n-shapes-3"]


def test_a_model_that_is_a_path_gives_a_plain_name(config: Make) -> None:
    made = config(None)
    made.model.name, made.data.name = "my models/best", "../data"
    assert default_name(made) == "my-models-best-..-data"


def claim_one(config: Config) -> str:
    return claim(config, []).run.name


def test_many_at_once_get_names_of_their_own(config: Make) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        names = pool.map(claim_one, [config(None) for _ in range(24)])
    assert len(set(names)) == 24


def test_the_same_config_takes_the_run_up(config: Make) -> None:
    claim(config(), []).release()
    claim(config(), []).release()


def test_a_run_in_use_is_refused_with_the_way_out(config: Make) -> None:
    taken = claim(config(), [])
    with pytest.raises(ConfigError, match="yoloscale cancel"):
        claim(config(), [])
    taken.release()
    claim(config(), [])


def test_another_config_under_the_same_name_lists_the_difference(config: Make) -> None:
    claim(config(), []).release()
    other = config(procs_per_node=4)
    other.epochs, other.paths.cache = 7, "/elsewhere"
    with pytest.raises(ConfigError) as caught:
        claim(other, [])
    assert {problem.key for problem in caught.value.problems} == {"epochs", "cluster.procs_per_node"}
    assert "100 in run 'run' → 7 now" in str(caught.value)


def test_a_task_read_from_the_weights_is_no_difference(config: Make) -> None:
    first = config()
    first.model.task = Task.segment
    claim(first, []).release()
    claim(config(), [])


def test_a_finished_run_says_how_to_start_another(config: Make) -> None:
    taken = claim(config(), [])
    taken.release()
    events.record(taken.run, events.FINISHED, epochs=1, steps=1)
    taken.run.result.write_text("{}")
    with pytest.raises(ConfigError, match="is finished") as caught:
        claim(config(), [])
    assert "another name=" in str(caught.value)


def test_a_folder_with_something_else_in_it_is_left_alone(config: Make) -> None:
    folder = named_run(config(), "run").path
    folder.mkdir(parents=True)
    (folder / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="is no run"):
        claim(config(), [])
    assert [entry.name for entry in folder.iterdir()] == ["thesis.tex"]
