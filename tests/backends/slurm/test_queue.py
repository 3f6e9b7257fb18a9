"""What squeue and sacct print, as they printed it (22.05), and how often they are asked."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from yoloscale.backends.registry import RateLimited
from yoloscale.backends.slurm import queue
from yoloscale.backends.slurm.queue import read_accounts, read_queue
from yoloscale.runs.jobs import Answer, Job, NoAnswer, nobody

QUEUE = """\
1_2|PENDING|N/A||JobArrayTaskLimit
2|PENDING|1795374162||Resources
3|CANCELLED|1795373848||JobHeldUser
1_0|RUNNING|1795373533|node1|None
7|PENDING|N/A||(Nodes required for job are DOWN | DRAINED)
"""
ACCOUNTS = """\
2|PENDING|None assigned
1_0|CANCELLED by 1000|node1
1_[2-3,7%2]|CANCELLED by 0|None assigned
9_[0-4:2]|FAILED|node[1-2]
"""


def test_the_queue() -> None:
    found = read_queue(QUEUE)
    assert found["1_2"] == Job("1_2", "PENDING", "JobArrayTaskLimit")
    assert found["2"] == Job("2", "PENDING", "Resources", starts_at=1795374162.0)
    assert (found["1_0"].nodes, found["1_0"].reason) == ("node1", "")
    assert found["7"].reason == "(Nodes required for job are DOWN | DRAINED)"
    assert [job for job in found if found[job].is_waiting] == ["1_2", "2", "7"]
    assert [job for job in found if found[job].is_over] == ["3"]
    assert read_queue("") == {}


def test_the_accounts() -> None:
    found = read_accounts(ACCOUNTS)
    assert set(found) == {"2", "1_0", "1_2", "1_3", "1_7", "9_0", "9_2", "9_4"}
    assert (found["1_0"].word, found["1_0"].state) == ("CANCELLED", "CANCELLED by 1000")
    assert found["1_3"] == Job("1_3", "CANCELLED by 0")
    assert found["9_2"].nodes == "node[1-2]"
    assert found["2"].is_waiting


def test_an_answer_is_about_a_job_or_about_none() -> None:
    job = Job("2", "RUNNING")
    assert Answer({"2": job}).of("2") is job
    assert Answer({"2": job}).of("3") is None
    assert nobody(["2"]).of("2") == NoAnswer()


def test_a_machine_without_slurm_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    answer = queue.ask(["2"]).of("2")
    assert isinstance(answer, NoAnswer)
    assert not answer.is_here
    assert queue.ask([]) == Answer(), "nothing to ask, nobody to be missed"


def test_who_looks_often_asks_seldom() -> None:
    asked: list[frozenset[str]] = []

    def ask(jobs: Collection[str]) -> Answer:
        asked.append(frozenset(jobs))
        return Answer({job: Job(job, f"STATE{len(asked)}") for job in jobs})

    patient, eager = RateLimited(3600, ask), RateLimited(0, ask)
    states = [patient(jobs).jobs for jobs in (["1"], ["1"], ["1", "2"], ["2", "1"])]
    assert [len(each) for each in states] == [1, 1, 2, 2]
    assert asked == [frozenset({"1"}), frozenset({"1", "2"})]
    assert [eager(["1"]).jobs["1"].state for _ in range(2)] == ["STATE3", "STATE4"]
