"""Ranks that hang, with real processes, a real store and real signals; timeouts of seconds instead of minutes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch
import torch.distributed as dist
from tests.ports import free_port

from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.hang.detect import Hang
from yoloscale.distributed.hang.state_store import connect
from yoloscale.distributed.hang.watchdog import Timing, Watchdog
from yoloscale.distributed.heartbeat import COMPUTING, HEARTBEAT, LOADING, MEASURING, WAITING

TIMEOUT_S = 2.0
ROOT = Path(__file__).parents[3]


def rank_of_a_job(behaviour: str, folder: str) -> None:
    """The program of a rank: five quick steps, then what `behaviour` says."""
    from yoloscale.distributed import group
    from yoloscale.distributed.environment import from_environment

    ranks = from_environment()

    def on_hang(hang: Hang) -> None:
        Path(folder, f"hang-{ranks.rank}").write_text(f"{hang.ranks} {hang.message}")

    watchdog = Watchdog(ranks, connect(ranks), Timing(TIMEOUT_S, 60.0), on_hang)
    watchdog.start()
    group.join(ranks, "gloo", torch.device("cpu"), TIMEOUT_S)
    Path(folder, f"pid-{ranks.rank}").write_text(str(os.getpid()))
    for step in range(1, 8):
        HEARTBEAT.step = step
        HEARTBEAT.at(LOADING)
        if step == 1 and behaviour == first_batch_never_comes.__name__:
            first_batch_never_comes(ranks)
        if step == 6:
            time.sleep(4 * Timing(TIMEOUT_S).tick_s)  # until the watchdog has seen that the first step is over
            BEHAVIOURS[behaviour](ranks)
        HEARTBEAT.at(COMPUTING)
        group.barrier()
        HEARTBEAT.is_settled = True
    watchdog.close()
    group.barrier()
    Path(folder, f"done-{ranks.rank}").touch()
    os._exit(0)


def loader_never_delivers(ranks: Ranks) -> None:
    if ranks.rank == ranks.world_size - 1:
        time.sleep(100)


def first_batch_never_comes(ranks: Ranks) -> None:
    loader_never_delivers(ranks)


def is_stopped(ranks: Ranks) -> None:
    if ranks.rank == 1:
        os.kill(os.getpid(), signal.SIGSTOP)


def holds_the_interpreter(ranks: Ranks) -> None:
    if ranks.rank == ranks.world_size - 1:
        import ctypes

        ctypes.PyDLL(None).sleep(100)  # native code that does not give the interpreter back


def store_host_is_stopped(ranks: Ranks) -> None:
    if ranks.rank == 0:
        os.kill(os.getpid(), signal.SIGSTOP)


def raises(ranks: Ranks) -> None:
    if ranks.rank == 1:
        raise ValueError("broken image")


def different_collectives(ranks: Ranks) -> None:
    with HEARTBEAT.during(WAITING):
        if ranks.rank == 0:
            dist.recv(torch.zeros(1), src=1)
        else:
            dist.recv(torch.zeros(1), src=0)


def first_rank_takes_its_time(ranks: Ranks) -> None:
    if ranks.is_first:
        HEARTBEAT.at(MEASURING)  # may take long, and its peers wait
        time.sleep(1.5 * TIMEOUT_S)
        for _ in range(13):
            HEARTBEAT.at(LOADING)  # slow, but it goes on
            time.sleep(TIMEOUT_S / 10)


def is_suspended_with_all_others(ranks: Ranks) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


BEHAVIOURS = {
    behaviour.__name__: behaviour
    for behaviour in (
        loader_never_delivers,
        is_stopped,
        holds_the_interpreter,
        store_host_is_stopped,
        raises,
        different_collectives,
        first_rank_takes_its_time,
        is_suspended_with_all_others,
    )
}


@dataclass
class Job:
    """What became of a job: exit codes and logs in rank order, None for a rank that had to be killed."""

    codes: list[int | None]
    logs: list[str]
    hangs: list[str]
    seconds: float


def resume_after(pause_s: float, processes: list[subprocess.Popen[bytes]]) -> None:
    while any(psutil.Process(process.pid).status() != psutil.STATUS_STOPPED for process in processes):
        time.sleep(0.05)
    time.sleep(pause_s)
    for process in processes:
        process.send_signal(signal.SIGCONT)


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    """`job(behaviour, world_size)`: run it.

    The ranks that `killed` names are killed once the others have ended. `pause_s`: once all are stopped, let them be so
    for that long.
    """

    def run(
        behaviour: Callable[[Ranks], None], world_size: int, killed: tuple[int, ...] = (), pause_s: float = 0.0
    ) -> Job:
        common = {"WORLD_SIZE": str(world_size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        environment = {
            **os.environ,
            **common,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        }
        command = [sys.executable, __file__, behaviour.__name__, str(tmp_path)]
        started = time.monotonic()
        processes = []
        for rank in range(world_size):
            with (tmp_path / f"log-{rank}").open("wb") as log:
                variables = {**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)}
                processes.append(subprocess.Popen(command, env=variables, stdout=log, stderr=subprocess.STDOUT))
        try:
            if pause_s:
                resume_after(pause_s, processes)
            waited = [process.wait(300) for rank, process in enumerate(processes) if rank not in killed]
            seconds = time.monotonic() - started
            codes: list[int | None] = [processes[rank].poll() for rank in range(world_size)]
        finally:
            for process in processes:
                process.kill()
                process.wait()
        assert len(waited) == world_size - len(killed)
        logs = [(tmp_path / f"log-{rank}").read_text() for rank in range(world_size)]
        return Job(codes, logs, [path.read_text() for path in sorted(tmp_path.glob("hang-*"))], seconds)

    return run


def test_the_rank_whose_loader_never_delivers_is_named_and_all_stacks_are_in_the_logs(job: Callable[..., Job]) -> None:
    done = job(loader_never_delivers, 2)
    assert done.codes == [1, 1]
    (hang,) = done.hangs
    assert hang.startswith("(1,) rank 1 on ")
    assert "did not arrive at step 6 within 2 s: it was loading images for" in hang
    assert "in loader_never_delivers" in done.logs[1]
    assert "in barrier" in done.logs[0]


@pytest.mark.long
def test_a_stopped_process_is_named_by_the_others(job: Callable[..., Job]) -> None:
    done = job(is_stopped, 3, killed=(1,))
    assert done.codes == [1, None, 1]
    (hang,) = done.hangs
    assert hang.startswith("(1,) rank 1 on ")
    assert "its process does not answer (stopped" in hang
    assert "in barrier" in done.logs[0]
    assert "in barrier" in done.logs[2]


@pytest.mark.long
def test_native_code_that_keeps_the_interpreter_is_named_and_dumps_its_stack(job: Callable[..., Job]) -> None:
    done = job(holds_the_interpreter, 2)
    assert done.codes == [1, 1]
    (hang,) = done.hangs
    assert "(1,) rank 1 on " in hang
    assert "stuck in native code" in hang
    assert "in holds_the_interpreter" in done.logs[1]


@pytest.mark.long
def test_the_ranks_end_by_themselves_if_the_store_does_not_answer(job: Callable[..., Job]) -> None:
    done = job(store_host_is_stopped, 2, killed=(0,))
    assert done.codes == [None, 1]
    (hang,) = done.hangs
    assert "the store that the ranks meet in has not answered" in hang
    assert "in barrier" in done.logs[1]


@pytest.mark.long
def test_ranks_that_all_wait_are_told_so(job: Callable[..., Job]) -> None:
    done = job(different_collectives, 2)
    assert done.codes == [1, 1]
    (hang,) = done.hangs
    assert hang.startswith("() all ranks wait for each other at step 6 for 2 s (rank 0 on ")
    assert all("in different_collectives" in log for log in done.logs)


def test_a_rank_that_raises_fails_the_others_at_once(job: Callable[..., Job]) -> None:
    done = job(raises, 2)
    assert done.codes == [1, 1]
    assert not done.hangs
    assert "ValueError: broken image" in done.logs[1]
    assert "Connection closed by peer" in done.logs[0] or "Connection reset by peer" in done.logs[0]


@pytest.mark.long
def test_whoever_goes_on_is_waited_for(job: Callable[..., Job]) -> None:
    done = job(first_rank_takes_its_time, 2)
    assert (done.codes, done.hangs) == ([0, 0], [])


@pytest.mark.long
def test_a_job_that_is_suspended_as_a_whole_goes_on(job: Callable[..., Job]) -> None:
    done = job(is_suspended_with_all_others, 2, pause_s=2 * TIMEOUT_S)
    assert (done.codes, done.hangs) == ([0, 0], [])


@pytest.mark.parametrize(
    "behaviour", [loader_never_delivers, pytest.param(holds_the_interpreter, marks=pytest.mark.long)]
)
def test_alone(job: Callable[..., Job], behaviour: Callable[[Ranks], None]) -> None:
    done = job(behaviour, 1)
    assert done.codes == [1]
    assert f"in {behaviour.__name__}" in done.logs[0]
    if behaviour is loader_never_delivers:
        (hang,) = done.hangs
        assert hang.startswith("(0,) rank 0 on ")
        assert "hangs at step 6: it has been loading images for 2 s" in hang


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_first_batch_that_does_not_come_has_no_set_ups_time(job: Callable[..., Job], ranks: int) -> None:
    done = job(first_batch_never_comes, ranks)
    assert done.codes == [1] * ranks
    (hang,) = done.hangs
    assert hang.startswith(f"({ranks - 1},) rank {ranks - 1} on ")
    assert "loading images" in hang


if __name__ == "__main__":
    try:
        rank_of_a_job(sys.argv[1], sys.argv[2])
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # as the worker: not by way of an interpreter that ends under threads in native code
