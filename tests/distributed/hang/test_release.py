"""Ranks that wait for one that is gone, in a collective that never ends: let go, told why, their numbers unused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from tests.blocking.blocking_group import register
from tests.ports import free_port

from yoloscale.distributed.hang.detect import Hang
from yoloscale.distributed.hang.state_store import connect
from yoloscale.distributed.hang.watchdog import Timing, Watchdog
from yoloscale.distributed.heartbeat import COMPUTING, HEARTBEAT
from yoloscale.distributed.peers import PEERS, Loss, PeerLost, Peers

ROOT = Path(__file__).parents[3]


def rank_of_a_job(behaviour: str, timeout_s: float, folder: Path) -> None:
    """The program of a rank: a collective a step, and in the third one a rank does what `behaviour` says."""
    from yoloscale.distributed import group
    from yoloscale.distributed.environment import from_environment

    register()
    ranks = from_environment()
    watchdog = Watchdog(ranks, connect(ranks), Timing(timeout_s, 60.0), lambda hang: record(folder, hang))
    watchdog.start()
    group.join(ranks, "blocking", torch.device("cpu"), timeout_s)
    watchdog.meet(group.gather_objects({"rank": ranks.rank, "host": ranks.host, "pid": os.getpid()}))
    number, odd = 0.0, 0 if behaviour == hosts_the_store_and_is_killed.__name__ else 1
    try:
        for step in range(1, 5):
            HEARTBEAT.step = step
            HEARTBEAT.at(COMPUTING)
            if step == 3 and ranks.rank == odd:
                BEHAVIOURS[behaviour]()
            numbers = torch.ones(3)
            with PEERS.waiting():
                dist.all_reduce(numbers)
            number = numbers[0].item()
            HEARTBEAT.is_settled = True
    except PeerLost as error:
        told = {"who": error.loss.who, "error": error.loss.error, "is_gone": error.loss.is_gone, "number": number}
        (folder / f"told-{ranks.rank}").write_text(json.dumps({**told, "claims": PEERS.claim_rescue()}))
        time.sleep(1.0)  # as long as it takes to save, the process stays
        os._exit(1)
    except ValueError as error:
        PEERS.announce(Loss(ranks.rank, ranks.host, str(error)))
        os._exit(1)
    PEERS.are_leaving = True
    group.barrier()
    watchdog.close()
    os._exit(0)


def record(folder: Path, hang: Hang) -> None:
    (folder / "hang").write_text(hang.message)


def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hosts_the_store_and_is_killed() -> None:
    is_killed()


def is_stopped() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def raises() -> None:
    raise ValueError("broken image")


def goes_on() -> None:
    pass


BEHAVIOURS = {each.__name__: each for each in (is_killed, hosts_the_store_and_is_killed, is_stopped, raises, goes_on)}


@dataclass
class Job:
    """What became of a job of three ranks."""

    codes: list[int | None]
    told: dict[int, dict[str, Any]]
    logs: list[str]


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    def run(behaviour: Callable[[], None], timeout_s: float = 600.0) -> Job:
        common = {"WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        environment = {**os.environ, **common, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        command = [sys.executable, __file__, behaviour.__name__, str(timeout_s), str(tmp_path)]
        processes = []
        for rank in range(3):
            with (tmp_path / f"log-{rank}").open("wb") as log:
                variables = {**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)}
                processes.append(subprocess.Popen(command, env=variables, stdout=log, stderr=subprocess.STDOUT))
        try:
            waited = [process for rank, process in enumerate(processes) if behaviour is not is_stopped or rank != 1]
            for process in waited:
                process.wait(300)
            codes = [process.poll() for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.wait()
        told = {int(path.name[5:]): json.loads(path.read_text()) for path in tmp_path.glob("told-*")}
        return Job(codes, told, [(tmp_path / f"log-{rank}").read_text() for rank in range(3)])

    return run


@pytest.mark.long
def test_a_killed_rank_is_missed_by_those_on_its_machine(job: Callable[..., Job]) -> None:
    done = job(is_killed)
    assert done.codes == [1, -9, 1], done.logs
    for rank in (0, 2):
        assert done.told[rank]["who"].startswith("rank 1 on ")
        assert done.told[rank]["is_gone"]
        assert done.told[rank]["number"] == 3.0, "a number that means nothing was used"
    assert sorted(each["claims"] for each in done.told.values()) == [False, True], "one of them saves"


@pytest.mark.long
def test_a_killed_rank_is_missed_also_where_nobody_can_be_told(job: Callable[..., Job]) -> None:
    """Ranks that no agent has started meet in a store of rank 0's."""
    done = job(hosts_the_store_and_is_killed)
    assert done.codes == [-9, 1, 1], done.logs
    assert all(done.told[rank]["who"].startswith("rank 0 on ") for rank in (1, 2))
    assert not any(each["claims"] for each in done.told.values()), "two might save"


def test_where_a_connection_breaks_the_word_of_who_is_gone_is_waited_for() -> None:
    peers, loss = Peers(), Loss(0, "node0", "its process has ended without a word", is_gone=True)
    peers.have_met, peers.patience_s = True, 60.0
    with pytest.raises(PeerLost, match="rank 0 on node0"), peers.waiting():  # noqa: PT012  # both are its subject
        threading.Timer(0.2, lambda: setattr(peers, "loss", loss)).start()
        raise RuntimeError("Connection closed by peer [127.0.0.1]:4711")


@pytest.mark.long
def test_a_rank_that_raises_tells_the_others_what(job: Callable[..., Job]) -> None:
    done = job(raises)
    assert done.codes == [1, 1, 1], done.logs
    assert {told["error"] for told in done.told.values()} == {"broken image"}
    assert {told["number"] for told in done.told.values()} == {3.0}
    assert sorted(done.told) == [0, 2]


@pytest.mark.long
def test_those_who_wait_for_a_rank_that_hangs_are_let_go_by_the_report(job: Callable[..., Job]) -> None:
    done = job(is_stopped, timeout_s=3.0)
    assert done.codes == [1, None, 1], done.logs
    assert {told["number"] for told in done.told.values()} == {3.0}
    assert sorted(done.told) == [0, 2]
    assert any(told["error"].startswith("did not arrive at step 3") for told in done.told.values()), done.told
    assert all("most recent call first" in done.logs[rank] for rank in (0, 2))


@pytest.mark.long
def test_ranks_that_end_in_order_are_not_missed(job: Callable[..., Job]) -> None:
    done = job(goes_on)
    assert (done.codes, done.told) == ([0, 0, 0], {}), done.logs


if __name__ == "__main__":
    rank_of_a_job(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]))
