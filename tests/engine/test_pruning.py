"""A run that is a point of a search: all ranks end it at the same epoch, and a study that is gone costs a warning."""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.run_events import lines_of

from yoloscale.config.schema import Config
from yoloscale.config.schema.sweep import Pruner, SearchConfig, TrialConfig
from yoloscale.distributed.environment import Ranks
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.study import study as studies
from yoloscale.sweep.grammar.space import read_space
from yoloscale.sweep.search.sampling import ask
from yoloscale.worker.train import trial as trials

EPOCHS = 5
MEDIAN = SearchConfig(pruner=Pruner.median, startup_trials=1, min_epochs=2)


def toy(folder: Path, **options: Any) -> Any:
    """A `ToyRun` in a process that pytest did not start."""
    specification = importlib.util.spec_from_file_location("toys", Path(__file__).with_name("conftest.py"))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["toys"] = module
    specification.loader.exec_module(module)
    return module.ToyRun(folder, **options)


def config_of(number: int) -> Config:
    return Config(epochs=EPOCHS, trial=TrialConfig(number, "../study.journal", MEDIAN))


@pytest.fixture
def number(tmp_path: Path) -> int:
    """The trial of a run in this folder, after another one that was good."""
    path, space = tmp_path / "study.journal", read_space(["lr0=interval(0,1)"])
    studies.create(path, MEDIAN)
    good, found = (ask(path, MEDIAN, space, name) for name in ("trial-000", "trial-001"))
    assert good is not None
    assert found is not None
    study = studies.load(path)
    for epoch in range(1, EPOCHS + 1):
        studies.report(study, good[0], epoch, 0.9, MEDIAN)
    studies.tell_complete(study, good[0], [0.9])
    return found[0]


def hopeless(ranks: Ranks, group: Any, folder: str, number: int) -> dict[str, Any]:
    trial = trials.Trial(config_of(number), RunDirectory(Path(folder)), ranks)
    fitness = [0.1] * EPOCHS
    run = toy(
        Path(folder),
        ranks=ranks,
        group=group,
        epochs=EPOCHS,
        fitness=fitness,
        is_hopeless=trial.is_hopeless,
        patience=0,
    )
    outcome = run.run()
    return {"outcome": outcome.value, "epochs": run.loop.summary()["epochs"]}


def test_two_ranks_end_a_hopeless_run_at_the_same_epoch(launch_ranks: Any, tmp_path: Path, number: int) -> None:
    found = launch_ranks(hopeless, 2, str(tmp_path / "run"), number)
    assert found == [{"outcome": "finished", "epochs": 2}] * 2
    reported = studies.load(tmp_path / "study.journal").trials[number]
    assert sorted(reported.intermediate_values) == [1, 2]


def single(tmp_path: Path, number: int, patience_s: float = 30) -> tuple[trials.Trial, RunDirectory]:
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    return trials.Trial(config_of(number), run, Ranks(), patience_s), run


@pytest.mark.parametrize(
    ("result", "state", "values"),
    [
        ('{"fitness": 0.5, "metrics": {}}', "COMPLETE", [0.5]),
        ('{"fitness": 0.1, "pruned": true}', "PRUNED", [0.1]),
        ('{"fitness": null}', "FAIL", None),
    ],
)
def test_the_end_is_told_once(tmp_path: Path, number: int, result: str, state: str, values: Any) -> None:
    trial, run = single(tmp_path, number)
    assert not trial.is_hopeless(1, {"fitness": 0.1})
    trial.tell()  # it has no result yet
    run.result.write_text(result)
    for _ in range(2):
        trial.tell()
        found = studies.load(tmp_path / "study.journal").trials[number]
        assert (found.state.name, found.values) == (state, values)


@pytest.mark.parametrize("content", [None, "zeros"])
def test_a_study_that_is_gone_or_damaged_costs_a_warning(tmp_path: Path, number: int, content: str | None) -> None:
    trial, run = single(tmp_path, number)
    (tmp_path / "study.journal").unlink()
    if content is not None:
        (tmp_path / "study.journal").write_text(content)
    assert not trial.is_hopeless(1, {"fitness": 0.1})
    assert not trial.is_hopeless(2, {"fitness": 0.1})  # not asked again
    (warning,) = lines_of(run)
    assert "goes on without" in warning["message"]


def test_a_study_that_does_not_answer_is_not_waited_for(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, run = single(tmp_path, number, patience_s=0.2)
    may_answer = threading.Event()
    monkeypatch.setattr(studies, "report", lambda *_: may_answer.wait())
    assert not trial.is_hopeless(1, {"fitness": 0.1})
    may_answer.set()
    assert "no answer within 0.2 s" in lines_of(run)[0]["message"]


def test_a_study_is_given_up_before_the_other_ranks_are_taken_to_hang(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config = RunDirectory(tmp_path / "run"), config_of(number)
    run.path.mkdir()
    config.cluster.timeout_s = 1.0
    monkeypatch.setattr(studies, "report", lambda *_: time.sleep(2))
    assert not trials.Trial(config, run, Ranks()).is_hopeless(1, {"fitness": 0.1})
    assert "no answer within 0.25 s" in lines_of(run)[0]["message"]


def test_a_prune_that_was_not_saved_is_none(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    events.append(run, events.Pruned(epoch=2))
    assert trials.was_pruned(run, 2)
    assert not trials.was_pruned(run, 5)


def test_a_run_of_no_search_says_nothing(tmp_path: Path) -> None:
    trial = trials.Trial(Config(), RunDirectory(tmp_path), Ranks())
    assert not trial.is_hopeless(1, {"fitness": 0.1})
    trial.tell()
    assert not [*tmp_path.iterdir()]
