from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.run_events import lines_of, write_event

from yoloscale.backends.slurm import submit as submit_module
from yoloscale.config.freeze import freeze, load
from yoloscale.errors import ConfigError
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import files as event_files
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.sweep.submit import submit_points
from yoloscale.sweep.unfinished import unfinished

from .conftest import Frozen

POINTS = ("name=s", "weight_decay=0.1,0.2,0.3", "cluster=slurm", "device=cpu")


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would have been handed to sbatch."""
    jobs: list[Any] = []

    def submit(job: Any) -> str:
        jobs.append(job)
        return "41"

    monkeypatch.setattr(submit_module, "submit", submit)
    return jobs


def move(run: RunDirectory, **cluster: Any) -> None:
    config = load(run.config)
    freeze(replace(config, cluster=replace(config.cluster, **cluster)), run.config)


def test_what_nobody_works_on_is_submitted_and_on_record(frozen: Frozen, submitted: list[Any]) -> None:
    sweep = frozen(*POINTS).directory
    first, second, third = sweep.runs()
    assert unfinished(sweep) == [0, 1, 2], "frozen only"
    first.result.write_text("{}")
    here = {"attempt": 1, "host": "another", "pid": 7}
    write_event(second, "attempt_launched", **here)  # as `resume s/weight_decay=0.2 cluster.launcher=local` does
    assert unfinished(sweep) == [2]
    submit_points(sweep, ["train"], [2])
    assert [job.array for job in submitted] == ["2"]
    assert [record.get("job") for record in lines_of(third)] == ["41_2"]
    assert len(lines_of(second)) == 1


@pytest.mark.parametrize(
    ("moved", "indices", "key"),
    [
        ({1: {"partition": "low"}}, [0, 1, 2], "cluster.partition"),
        ({1: {"launcher": "local"}}, [0, 1], "cluster.launcher"),
        ({1: {"launcher": "local"}}, [1], "cluster.launcher"),
    ],
)
def test_points_that_were_moved_apart_are_no_array(
    frozen: Frozen, submitted: list[Any], moved: dict[int, Any], indices: list[int], key: str
) -> None:
    sweep: SweepDirectory = frozen(*POINTS).directory
    for index, cluster in moved.items():
        move(sweep.run_of(index), **cluster)
    with pytest.raises(ConfigError, match=r"in point weight_decay=0\.2") as error:
        submit_points(sweep, ["resume"], indices)
    assert [problem.key for problem in error.value.problems] == [key]
    assert not submitted
    assert not any(event_files.exist(run) for run in sweep.runs())
    submit_points(sweep, ["resume"], [0, 2])
    assert [job.array for job in submitted] == ["0,2"]


def test_a_value_of_many_lines_is_part_of_the_cluster(frozen: Frozen, submitted: list[Any], tmp_path: Path) -> None:
    sweep = frozen(*POINTS).directory
    for index, last in ((0, "echo 2"), (1, "echo 3"), (2, "echo 2")):
        move(sweep.run_of(index), setup=[f"echo 1\n\n# comment\n{last}"])
    submit_points(sweep, ["resume"], [0, 2])
    with pytest.raises(ConfigError, match="echo 3"):
        submit_points(sweep, ["resume"], [0, 1])
