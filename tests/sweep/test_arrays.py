"""A sweep of more points than the site's largest array: several arrays, and each element knows its point."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from tests.run_events import lines_of
from tests.searches import ready as ready_search

from yoloscale import api
from yoloscale.backends.base import JobRequest
from yoloscale.backends.slurm import arrays as arrays_module
from yoloscale.backends.slurm import failures, limits
from yoloscale.backends.slurm import submit as submit_module
from yoloscale.backends.slurm.arrays import jobs_of, parts_of
from yoloscale.backends.slurm.backend import BACKEND
from yoloscale.backends.slurm.commands import SlurmError
from yoloscale.backends.slurm.limits import ArrayLimits, Site, site_problems
from yoloscale.backends.slurm.node import run_of
from yoloscale.backends.slurm.render import render
from yoloscale.cli.sweep import verbs
from yoloscale.config.compose.flags import split
from yoloscale.config.freeze import load
from yoloscale.config.schema import ClusterConfig
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs import events
from yoloscale.runs.arrays import put_down, together_with
from yoloscale.runs.jobs import Answer, Job
from yoloscale.runs.sweep_directory import SweepPoint, read, write
from yoloscale.sweep.configure import configure_all
from yoloscale.sweep.grammar.points import expand
from yoloscale.sweep.search import ready as ready_module
from yoloscale.sweep.search.ready import plan_search
from yoloscale.sweep.search.submit import queued, submit_search
from yoloscale.sweep.submit import submit_points
from yoloscale.system.slurm_step import point_of
from yoloscale.system.variables import FIRST_POINT

from .conftest import Frozen

POINTS = ("name=s", "lr0=0.1,0.2,0.3,0.4,0.5", "optimizer=SGD", "cluster=slurm", "device=cpu")


def job(folder: Path, **cluster: Any) -> JobRequest:
    return JobRequest(ClusterConfig(**cluster), "s", folder, folder, folder, ("train",), array="0")


@pytest.mark.parametrize(
    ("indices", "limits", "expected"),
    [
        (range(5), None, [(0, "0-4")]),
        (range(1001), ArrayLimits(1001, 1001), [(0, "0-1000")]),
        (range(1002), ArrayLimits(1001, 1001), [(0, "0-1000"), (1001, "0")]),
        (range(10), ArrayLimits(4, 4), [(0, "0-3"), (4, "0-3"), (8, "0-1")]),
        (range(10), ArrayLimits(100, 4), [(0, "0-3"), (0, "4-7"), (0, "8-9")]),
        ([2, 9, 10, 30], ArrayLimits(8, 8), [(0, "2"), (9, "0-1"), (30, "0")]),
        ([7, 5, 1], ArrayLimits(8, 2), [(0, "1,5"), (0, "7")]),
    ],
)
def test_as_few_arrays_as_the_limits_allow(
    tmp_path: Path, indices: Any, limits: ArrayLimits | None, expected: list[tuple[int, str]]
) -> None:
    parts = parts_of(indices, limits)
    assert sorted(indices) == [index for part in parts for index in part.indices]
    assert [(each.first, each.array) for each in jobs_of(job(tmp_path), parts)] == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}, 3),
        ({"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3", FIRST_POINT: "7:1000"}, 1003),
        ({"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3", FIRST_POINT: "6:1000"}, 3),
        ({"SLURM_JOB_ID": "7"}, None),
    ],
)
def test_an_element_knows_its_point(environ: dict[str, str], expected: int | None) -> None:
    assert point_of(environ) == expected


def test_the_script_says_it_and_a_template_that_does_not_is_refused(tmp_path: Path) -> None:
    first, second = jobs_of(job(tmp_path), parts_of(range(4), ArrayLimits(2, 2)))
    assert FIRST_POINT not in render(first)
    assert f'export {FIRST_POINT}="$SLURM_ARRAY_JOB_ID:2"' in render(second)
    (tmp_path / "own.j2").write_text("#!/bin/bash\n")
    *_, second = jobs_of(job(tmp_path, template="own.j2"), parts_of(range(4), ArrayLimits(2, 2)))
    with pytest.raises(ConfigError, match=FIRST_POINT):
        render(second)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> list[JobRequest]:
    """A site whose arrays have two elements at most; the jobs that it gets, numbered from 41, the third is refused."""
    jobs: list[JobRequest] = []

    def submit(given: JobRequest) -> str:
        if len(jobs) == 3:
            raise ConfigError(Problem("cluster.account", "too many jobs", "wait"))
        jobs.append(given)
        return str(40 + len(jobs))

    monkeypatch.setattr(submit_module, "submit", submit)
    monkeypatch.setattr(limits, "ask_array_limits", lambda: ArrayLimits(2, 2))
    return jobs


def test_every_point_is_on_record_with_the_element_that_trains_it(frozen: Frozen, site: list[JobRequest]) -> None:
    sweep = frozen(*POINTS).directory
    submission = submit_points(sweep, ["train"], range(5))
    assert submission.jobs == ("41", "42", "43")
    assert [(each.first, each.array) for each in site] == [(0, "0-1"), (2, "0-1"), (4, "0")]
    recorded = [lines_of(run)[-1]["job"] for run in sweep.runs()]
    assert recorded == ["41_0", "41_1", "42_0", "42_1", "43_0"]
    environ = {"SLURM_ARRAY_JOB_ID": "42", "SLURM_ARRAY_TASK_ID": "1", FIRST_POINT: "42:2"}
    assert run_of(sweep.path, environ).name == "lr0=0.4"
    assert together_with(sweep, "42") == {"41", "42", "43"}
    assert [each.array for each in BACKEND.render_points(site[0], range(5))] == ["0-1", "0-1", "0"]


def test_arrays_that_go_one_after_the_other_keep_the_number_at_a_time(frozen: Frozen, site: list[JobRequest]) -> None:
    sweep = frozen(*POINTS, "cluster.array_parallelism=1", "cluster.dependency=afterok:9").directory
    submit_points(sweep, ["train"], range(5))
    assert [each.cluster.dependency for each in site] == ["afterok:9", "afterok:9,afterany:41", "afterok:9,afterany:42"]
    assert load(sweep.runs()[0].config).cluster.dependency == "afterok:9"


def test_of_several_arrays_all_are_submitted_or_none(
    frozen: Frozen, site: list[JobRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = frozen(*POINTS[:1], "seed=range(0,7)", *POINTS[2:]).directory
    typed: list[list[str]] = []
    monkeypatch.setattr(arrays_module, "call", typed.append)
    with pytest.raises(ConfigError, match="too many jobs"):
        submit_points(sweep, ["train"], range(7))
    assert typed == [["scancel", "41", "42", "43"]]
    assert [lines_of(run)[-1]["event"] for run in sweep.runs()[:6]] == ["exited"] * 6
    assert lines_of(sweep.runs()[6]) == []


@pytest.mark.parametrize("is_new", [True, False])
def test_of_a_new_sweep_that_is_refused_nothing_stays(
    frozen: Frozen, site: list[JobRequest], monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    sweep = frozen(*POINTS[:1], "seed=range(0,7)", *POINTS[2:]).directory
    monkeypatch.setattr(arrays_module, "call", lambda argv: "")
    with pytest.raises(ConfigError, match="too many jobs"):
        submit_points(sweep, ["train"], range(7), is_new=is_new)
    assert sweep.path.exists() is not is_new


def refuse(argv: list[str]) -> str:
    raise SlurmError(argv, "scancel: error: Unable to contact slurm controller")


def test_arrays_that_cannot_be_taken_back_keep_their_points_and_are_named(
    frozen: Frozen, site: list[JobRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = frozen(*POINTS[:1], "seed=range(0,7)", *POINTS[2:]).directory
    monkeypatch.setattr(arrays_module, "call", refuse)
    with pytest.raises(ConfigError) as raised:
        submit_points(sweep, ["train"], range(7), is_new=True)
    sbatch, scancel = raised.value.problems
    assert (sbatch.key, sbatch.found) == ("cluster.account", "too many jobs")
    assert "Unable to contact" in scancel.found
    assert "41, 42, 43" in scancel.found
    assert "scancel 41 42 43" in scancel.instead
    last = [lines_of(run)[-1:] for run in sweep.runs()]
    assert [event["event"] for found in last for event in found] == ["submitted"] * 6
    assert together_with(sweep, "41") == {"41", "42", "43"}


def test_elements_of_a_search_that_cannot_be_taken_back_are_known_as_queued(
    site: list[JobRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready_module, "prepare_all", lambda probes, say: probes)
    words = ["name=s", "cluster=slurm", "device=cpu", "sweep=random", "mixup=interval(0,1)", "sweep.search.trials=7"]
    search = ready_search(plan_search(words), print)
    monkeypatch.setattr(arrays_module, "call", refuse)
    with pytest.raises(ConfigError, match=r"too many jobs(.|\n)*scancel 41 42 43"):
        submit_search(search, ["train"], range(7), is_new=True)
    answer = Answer({job: Job(job, "PENDING") for job in ("41_0", "41_1", "42_0", "42_1", "43_0", "43_1")})
    assert queued(search.sweep, lambda jobs: answer) == {
        0: "41_0",
        1: "41_1",
        2: "42_0",
        3: "42_1",
        4: "43_0",
        5: "43_1",
    }
    monkeypatch.setattr(arrays_module, "call", lambda argv: "")
    site.clear()
    with pytest.raises(ConfigError, match="too many jobs"):
        submit_search(search, ["train"], range(7), is_new=True)
    assert not search.sweep.path.exists()


def test_what_was_submitted_before_a_ctrl_c_is_on_record(
    site: list[JobRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit(given: JobRequest) -> str:
        if len(site) == 2:
            raise KeyboardInterrupt
        site.append(given)
        return str(40 + len(site))

    monkeypatch.setattr(ready_module, "prepare_all", lambda probes, say: probes)
    monkeypatch.setattr(submit_module, "submit", submit)
    words = ["name=s", "cluster=slurm", "device=cpu", "sweep=random", "mixup=interval(0,1)", "sweep.search.trials=7"]
    search = ready_search(plan_search(words), print)
    with pytest.raises(KeyboardInterrupt):
        submit_search(search, ["train"], range(7), is_new=True)
    assert together_with(search.sweep, "41") == {"41", "42"}
    answer = Answer({job: Job(job, "PENDING") for job in ("41_0", "41_1", "42_0", "42_1")})
    assert queued(search.sweep, lambda jobs: answer).keys() == {0, 1, 2, 3}, "they are not submitted again"


@pytest.mark.long
def test_only_of_a_search_that_was_made_just_now_and_is_refused_nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(job: JobRequest) -> str:
        raise ConfigError(Problem("cluster.account", "typo", "sacctmgr show account"))

    monkeypatch.setattr(ready_module, "prepare_all", lambda probes, say: probes)
    monkeypatch.setattr(submit_module, "submit", refused)
    words = ["cluster=slurm", "device=cpu", "sweep=random", "mixup=interval(0,1)", "sweep.search.trials=3"]
    begun = ready_search(plan_search(["name=begun", *words]), print)
    by_command = partial(verbs.train, dry_run=False, prepare=False, detach=False)
    starts = (lambda tokens: by_command(split(tokens)), lambda tokens: api.sweep(*tokens))
    for start, names in product(starts, (["name=s"], [], ["name=begun"])):
        with pytest.raises(ConfigError, match="typo"):
            start([*names, *words])
        assert [path.parent for path in Path.cwd().rglob("sweep.yaml")] == [begun.sweep.path]


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["cluster.array_parallelism=1", "cluster.dependency='afterok:1?afterok:2'"], "cluster.dependency"),
        (["cluster.template=own.j2"], "cluster.template"),
    ],
)
def test_what_is_wrong_with_a_later_array_is_told_before_the_first_is_submitted(
    frozen: Frozen, site: list[JobRequest], words: list[str], key: str
) -> None:
    Path("own.j2").write_text("#!/bin/bash\n")
    sweep = frozen(*POINTS, *words).directory
    with pytest.raises(ConfigError) as raised:
        submit_points(sweep, ["train"], range(5))
    assert [problem.key for problem in raised.value.problems] == [key]
    assert site == []


def test_jobs_that_have_ended_by_themselves_need_no_cancelling(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(argv: list[str]) -> str:
        raise SlurmError(argv, f"scancel: error: {arrays_module.GONE} 41\nscancel: error: {arrays_module.GONE} 42")

    monkeypatch.setattr(arrays_module, "call", gone)
    arrays_module.cancel_jobs(["41", "42"])


def test_failures_in_any_of_the_arrays_count(frozen: Frozen, site: list[JobRequest]) -> None:
    sweep = frozen(*POINTS, "sweep.max_failures=1").directory
    submit_points(sweep, ["train"], range(5))
    runs = sweep.runs()
    events.append(runs[0], events.Failed(attempt=1, rank=0, error="x", collateral=False, gave_up=True, job="41_0"))
    events.append(runs[0], events.Exited(attempt=1, exit_code=1, job="41_0"))
    with pytest.raises(ConfigError, match="max_failures"):
        failures.refuse_after_failures(runs[4], "43_0")


def test_ids_that_are_used_again_are_those_of_the_newest_submission(frozen: Frozen) -> None:
    sweep = frozen(*POINTS).directory
    sweep.job.mkdir(exist_ok=True)
    assert together_with(sweep, "5") == {"5"}
    put_down(sweep, ["5", "6"])
    put_down(sweep, ["6"])
    assert together_with(sweep, "5") == {"5", "6"}
    assert together_with(sweep, "6") == {"6"}


def test_a_search_of_more_points_than_jobs_may_be_submitted_is_refused_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site(config="MaxJobCount             = 50\n")
    monkeypatch.setattr(limits, "site_problems", partial(site_problems, asked=lambda: site))
    words = ["cluster=slurm", "device=cpu", "optimizer=SGD", "sweep=random", "lr0=interval(0.001,0.1)"]
    plan_search([*words, "sweep.search.trials=50"])
    with pytest.raises(ConfigError, match="51 points") as raised:
        plan_search([*words, "sweep.search.trials=51"])
    assert [problem.key for problem in raised.value.problems] == ["sweep"]


def test_the_site_is_asked_for_the_points_that_are_left(frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = frozen(*POINTS).directory
    site = Site(config="MaxJobCount             = 2\n")
    monkeypatch.setattr(limits, "site_problems", partial(site_problems, asked=lambda: site))
    with pytest.raises(ConfigError, match="5 points"):
        configure_all(expand(POINTS))
    for run in sweep.runs()[:3]:
        run.result.write_text('{"fitness": 0.5, "epochs": 1, "metrics": {}}')
    assert len(configure_all(expand(POINTS)).points) == 5


def test_the_site_is_asked_for_the_points_of_a_search_that_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for those that are tried before it starts."""
    site = Site(config="MaxJobCount             = 3\n")
    monkeypatch.setattr(limits, "site_problems", partial(site_problems, asked=lambda: site))
    monkeypatch.setattr(ready_module, "prepare_all", lambda probes, say: probes)
    words = ["name=s", "cluster=slurm", "device=cpu", "sweep=random", "mixup=interval(0,1)", "box=interval(1,9)"]
    search = ready_search(plan_search([*words, "sweep.search.trials=3"]), print)
    more = [*words, "sweep.search.trials=5"]
    with pytest.raises(ConfigError, match="5 points"):
        plan_search(more)
    points = (SweepPoint(0, "trial-000", ()), SweepPoint(1, "trial-001", ()))
    write(search.sweep, replace(read(search.sweep), points=points))
    for point in points:
        run = search.sweep.run(point.name)
        run.path.mkdir()
        run.result.write_text('{"fitness": 0.5, "epochs": 1, "metrics": {}}')
    assert plan_search(more).settings.trials == 5


def test_the_points_of_a_sweep_say_once_that_their_data_is_on_the_nodes(frozen: Frozen) -> None:
    said: list[str] = []
    configure_all(expand([*POINTS, "data=$SLURM_TMPDIR/parts/data.yaml"]), say=said.append)
    assert [line for line in said if "SLURM_TMPDIR" in line] == [
        "data=$SLURM_TMPDIR/parts/data.yaml is looked for, and checked, on the nodes when the job starts"
    ]
