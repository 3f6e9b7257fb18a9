from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from yoloscale.config.schema.sweep import Pruner, Sampler, SearchConfig
from yoloscale.study import study as studies
from yoloscale.study.journal import Journal
from yoloscale.study.objectives import values_of
from yoloscale.sweep.grammar.space import Space, read_space
from yoloscale.sweep.search.sampling import ABANDONED, ask

SPACE = ["lr0=tag(log,interval(1e-4,1e-1))", "mosaic=range(0,1.01,0.25)", "optimizer=SGD,AdamW"]
APPENDS = """
import sys
from pathlib import Path
from yoloscale.study.journal import Journal
journal = Journal(Path(sys.argv[1]))
for number in range(40):
    journal.append_logs([{"op_code": 2, "from": sys.argv[2], "number": number}])
"""


@pytest.fixture
def space() -> Space:
    return read_space(SPACE)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Path]:
    studies.create(tmp_path / "study.journal", SearchConfig())
    yield tmp_path / "study.journal"
    assert not [*tmp_path.glob("*.lock")]


@pytest.mark.parametrize("sampler", Sampler)
def test_a_finite_space_is_asked_for_every_point_once(sampler: Sampler, journal: Path) -> None:
    space, settings = read_space(["seed=range(0,3)", "lr0=0.1,0.2", "optimizer=SGD,AdamW"]), SearchConfig(sampler)
    asked = []
    for index in range(12):
        found = ask(journal, settings, space, f"trial-{index:03d}")
        assert found is not None
        asked.append(tuple(sorted(found[1].items())))
        if index % 2:
            studies.tell_complete(studies.load(journal), found[0], [index / 12])
    assert len(set(asked)) == 12
    assert ask(journal, settings, space, "one-too-many") is None


@pytest.mark.parametrize("sampler", Sampler)
def test_a_point_that_was_abandoned_is_asked_for_again_in_a_space_that_is_exhausted(
    sampler: Sampler, journal: Path
) -> None:
    space, settings = read_space(["seed=range(0,2)", "lr0=0.1,0.2"]), SearchConfig(sampler)
    asked = []
    for index in range(5):
        found = ask(journal, settings, space, f"trial-{index:03d}")
        assert found is not None
        if index == 1:
            studies.tell_failed(studies.load(journal), found[0], "killed", ABANDONED)
            continue
        asked.append(tuple(sorted(found[1].items())))
        studies.tell_complete(studies.load(journal), found[0], [index / 5])
    assert len(set(asked)) == 4
    assert ask(journal, settings, space, "one-too-many") is None


@pytest.mark.parametrize("sampler", [sampler for sampler in Sampler if sampler is not Sampler.grid])
def test_processes_that_ask_in_turn_draw_differently(sampler: Sampler, journal: Path, space: Space) -> None:
    settings = SearchConfig(sampler, startup_trials=2)
    asked = [ask(journal, settings, space, f"trial-{index:03d}") for index in range(8)]  # each opens the study anew
    assert len({str(values) for found in asked if found is not None for values in found[1:]}) == 8


def test_many_processes_append_to_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    path.touch()
    writers = [subprocess.Popen([sys.executable, "-c", APPENDS, str(path), name]) for name in "abc"]
    assert [writer.wait(300) for writer in writers] == [0, 0, 0]
    entries = [*Journal(path).read_logs(0)]
    assert len(entries) == 120
    for name in "abc":
        assert [entry["number"] for entry in entries if entry["from"] == name] == [*range(40)]


def test_a_line_that_a_killed_process_tore_costs_that_line_only(journal: Path, space: Space) -> None:
    first = ask(journal, SearchConfig(), space, "trial-000")
    with journal.open("a") as file:
        file.write('{"op_code":4,"worker_id":"x","stu')  # and it was killed
    second = ask(journal, SearchConfig(), space, "trial-001")
    assert first is not None
    assert second is not None
    assert [trial.user_attrs["point"] for trial in studies.load(journal).trials] == ["trial-000", "trial-001"]
    reader = Journal(journal)
    count = len([*reader.read_logs(0)])
    studies.tell_complete(studies.load(journal), second[0], [0.5])
    assert [entry["values"] for entry in reader.read_logs(count)] == [[0.5]]


def test_of_two_that_tell_at_the_same_moment_the_first_counts(
    journal: Path, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ask(journal, SearchConfig(), space, "trial-000")
    assert found is not None
    number, rank, launcher = found[0], studies.load(journal), studies.load(journal)
    after = launcher.sampler.after_trial

    def told_meanwhile(*given: Any) -> None:
        studies.tell_complete(rank, number, [0.5])
        after(*given)

    monkeypatch.setattr(launcher.sampler, "after_trial", told_meanwhile)
    studies.tell_complete(launcher, number, [0.7])
    assert studies.load(journal).trials[number].values == [0.5]


@pytest.mark.parametrize("content", ["", "no journal\n", None])
def test_a_study_that_is_damaged_or_gone_says_where(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    if content is not None:
        path.write_text(content)
    with pytest.raises(studies.StudyError, match=r"study\.journal"):
        studies.load(path)


def test_an_epoch_is_reported_once_and_an_end_is_told_once(journal: Path, space: Space) -> None:
    found = ask(journal, SearchConfig(), space, "trial-000")
    assert found is not None
    settings, study = SearchConfig(pruner=Pruner.median), studies.load(journal)
    for value in (0.5, 0.7):  # a resumed run does the epoch again
        assert not studies.report(study, found[0], 1, value, settings)
    assert study.trials[0].intermediate_values == {1: 0.5}
    studies.tell_complete(study, found[0], [0.5])
    studies.tell_complete(study, found[0], [0.9])
    studies.tell_pruned(study, found[0])
    studies.tell_failed(study, found[0], "late")
    assert (study.trials[0].state.name, study.trials[0].values) == ("COMPLETE", [0.5])
    assert sum(json.loads(line)["op_code"] == 6 for line in journal.read_text().splitlines()) == 1


@pytest.mark.parametrize("pruner", [Pruner.median, Pruner.asha, Pruner.hyperband])
def test_a_point_behind_others_is_hopeless_but_not_before_its_time(pruner: Pruner, journal: Path, space: Space) -> None:
    settings = SearchConfig(pruner=pruner, startup_trials=3, min_epochs=2)
    study = studies.load(journal, studies.pruner_of(settings, 9))
    answers = {}
    for index, value in enumerate((0.9, 0.8, 0.7, *([0.1] * 6))):
        found = ask(journal, settings, space, f"trial-{index:03d}")
        assert found is not None
        for epoch in range(1, 10):
            if studies.report(study, found[0], epoch, value, settings):
                answers[index] = epoch
                studies.tell_pruned(study, found[0])
                break
        else:
            studies.tell_complete(study, found[0], [value])
    assert answers
    assert min(answers) >= 3
    assert min(answers.values()) >= 2


def test_a_start_that_was_killed_before_it_could_save_hears_the_same_again(journal: Path, space: Space) -> None:
    settings = SearchConfig(pruner=Pruner.asha, startup_trials=1)
    for index, value in enumerate((0.9, 0.1)):
        found = ask(journal, settings, space, f"trial-{index:03d}")
        assert found is not None
        study = studies.load(journal, studies.pruner_of(settings, 3))
        answers = [studies.report(study, found[0], 1, value, settings) for _ in range(2)]
        assert answers == [bool(index)] * 2
        studies.tell_complete(study, found[0], [value])


def test_objectives_are_read_from_a_result() -> None:
    result = {"fitness": 0.5, "metrics": {"metrics/mAP50(B)": 0.25}, "parameters": 7}
    assert values_of(result, SearchConfig()) == [0.5]
    wanted = SearchConfig(objectives={"metrics/mAP50(B)": "maximize", "parameters": "minimize"})
    assert values_of(result, wanted) == [0.25, 7.0]
    with pytest.raises(ValueError, match=r"no latency_ms .* has metrics/mAP50\(B\), fitness, parameters"):
        values_of(result, SearchConfig(objectives={"latency_ms": "minimize"}))
    with pytest.raises(ValueError, match="not finite"):
        values_of({"fitness": float("nan")}, SearchConfig())
