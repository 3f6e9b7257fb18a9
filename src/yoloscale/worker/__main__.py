"""The program of one rank: `python -m yoloscale.worker RUN`, started by torchrun, or by hand with its variables.

Reads RUN/config.yaml, whose kind names the program, and ends with 0 finished, 1 failed, 2 bad config, 75 stopped on
request with a checkpoint saved, 130 interrupted by a person.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from pathlib import Path
from typing import Any, TextIO

from yoloscale.config.freeze import load
from yoloscale.config.kinds import KINDS
from yoloscale.config.locations import working_folder
from yoloscale.config.plan import is_automatic, plan, world_size
from yoloscale.config.schema import Config, PredictConfig, RunConfig, ValConfig
from yoloscale.distributed.environment import Ranks, from_environment, rendezvous_of_step, variables_of
from yoloscale.distributed.failures import is_out_of_memory, out_of_memory
from yoloscale.distributed.heartbeat import HEARTBEAT
from yoloscale.distributed.libraries import set_variables
from yoloscale.distributed.peers import PEERS, Loss
from yoloscale.engine.stop_requests import StopRequests
from yoloscale.errors import ConfigError, Problem
from yoloscale.exit_codes import BAD_CONFIG, FAILED, INTERRUPTED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.runs.identity import RunLost
from yoloscale.system.mig import own_instance
from yoloscale.system.parent_death import die_with_parent
from yoloscale.system.variables import ATTEMPT, RUN_ID


def main(argv: list[str]) -> int:
    """Run one rank; returns its exit code."""
    if len(argv) != 2:
        print("usage: python -m yoloscale.worker RUN (under torchrun; RUN is a run directory)", file=sys.stderr)
        return BAD_CONFIG
    run = RunDirectory(Path(argv[1]).absolute())
    try:
        ranks = from_environment()
        run = owned(run, os.environ.get(RUN_ID))  # before the log is opened: it lies in the folder
    except (ConfigError, RunLost) as error:
        print(error, file=sys.stderr, flush=True)
        return BAD_CONFIG if isinstance(error, ConfigError) else FAILED
    os.environ.update(variables_of(ranks) | rendezvous_of_step() | own_instance(os.environ, ranks.local_rank))
    attempt = _attempt(run)
    requests = StopRequests()
    requests.listen()
    with contextlib.suppress(OSError):  # a container may refuse it
        die_with_parent(os.getppid())
    if ATTEMPT in os.environ:
        _redirect_output(run.rank_log(attempt, ranks.rank))
    config: RunConfig | None = None
    try:
        config = load(run.config, of=RunConfig)
        os.chdir(working_folder(config.origin))  # what is relative in a dataset's YAML refers to it
        _check_topology(config, ranks)
        return _run(config, run, ranks, attempt, requests)
    except ConfigError as error:
        print(error, file=sys.stderr, flush=True)
        _report(run, ranks, attempt, error, str(error), exit_code=BAD_CONFIG)
        return BAD_CONFIG
    except RunLost as error:
        print(error, file=sys.stderr, flush=True)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        traceback.print_exc()
        _report(run, ranks, attempt, error, _describe(error, config, ranks))
        return FAILED


def _run(config: RunConfig, run: RunDirectory, ranks: Ranks, attempt: int, requests: StopRequests) -> int:
    """Import the program of the run's kind, in the order that Ultralytics needs, and run it; its exit code."""
    if ranks.is_first:
        events.append(run, events.Setup(attempt=attempt, phase="importing"))
    set_variables(os.environ, config.cluster.timeout_s)
    from yoloscale.yolo import runtime

    runtime.prepare(ranks.world_size, config.model.allow_pickle)
    program = KINDS[config.kind].load_program()
    if "ultralytics" in sys.modules:  # a program may do without
        runtime.check_ranks(ranks.rank, ranks.world_size, ranks.local_rank)
        runtime.keep_offline()
    code: int = program(config, run, ranks, attempt, requests)
    return code


def _attempt(run: RunDirectory) -> int:
    """Which start of the run this is, from 1: the launcher says it; by hand it is the last one on record."""
    if ATTEMPT in os.environ:
        return int(os.environ[ATTEMPT])
    return events.last_attempt(events.history(run)) or 1


class _Log(io.FileIO):
    """A file on a disk that may be full, which is worth a warning and not the run: what it does not take is lost."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _redirect_output(log: Path) -> None:
    """Send everything this process and its children print to a file, from the descriptors up."""
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    sys.stdout, sys.stderr = _unfailing(1), _unfailing(2)


def _unfailing(descriptor: int) -> TextIO:
    raw = io.BufferedWriter(_Log(descriptor, "wb", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _check_topology(config: RunConfig, ranks: Ranks) -> None:
    """Raise ConfigError unless as many ranks were started as the run goes on with, and its batch divides over them.

    Those of a prediction meet nowhere: any number may come, at any time.
    """
    if isinstance(config, PredictConfig):
        return
    nodes, procs = config.cluster.nodes, config.cluster.procs_per_node
    assert procs is not None, "frozen configs are resolved"
    fewest = config.cluster.min_nodes or nodes
    if ranks.world_size not in [count * procs for count in range(fewest, nodes + 1)]:
        nnodes, count = f"{nodes}" if fewest == nodes else f"{fewest}:{nodes}", world_size(config)
        found = f"the run is frozen for {count} ranks ({nodes} × {procs}), {ranks.world_size} were started"
        torchrun = f"torchrun --nnodes={nnodes} --nproc-per-node={procs}"
        srun = f"srun --nodes={nodes} --ntasks-per-node={procs} python -m yoloscale.worker RUN"
        raise ConfigError(Problem("cluster", found, f"start it with {torchrun}, or with {srun}"))
    if isinstance(config, Config) and not is_automatic(config.batch):
        plan(config, ranks=ranks.world_size)


def _describe(error: Exception, config: RunConfig | None, ranks: Ranks) -> str:
    """The error in words; of a full GPU also what fills it."""
    if not is_out_of_memory(error):
        return f"{type(error).__name__}: {error}"
    import torch

    batch = 0
    if isinstance(config, PredictConfig):
        batch = config.batch
    elif isinstance(config, (Config, ValConfig)) and config.batch >= 1:
        batch = int(config.batch) // ranks.world_size
    try:
        memory = (torch.cuda.memory_reserved(), *torch.cuda.mem_get_info())
    except RuntimeError:  # a device that answers no more
        memory = (0, 0, 0)
    return out_of_memory(error, batch, *memory)


def _report(
    run: RunDirectory, ranks: Ranks, attempt: int, error: Exception, text: str, *, exit_code: int | None = None
) -> None:
    """Tell the other ranks and put on record what this one failed of; one a node where another rank is known gone."""
    loss = PEERS.loss
    is_collateral = loss is not None or PEERS.is_collateral(error)
    if not is_collateral:
        PEERS.announce(Loss(ranks.rank, ranks.host, text))
    if loss is not None and not ranks.is_first_of_node:
        return
    failed = events.Failed(
        attempt=attempt,
        rank=ranks.rank,
        host=ranks.host,
        exit_code=exit_code,
        error=text,
        at_step=HEARTBEAT.step or None,  # a run without steps, or its set-up, was at none
        collateral=is_collateral,
        traceback="".join(traceback.format_exception(type(error), error, error.__traceback__)[-6:]),
        lost=None if loss is None else events.LostRank(loss.rank, loss.host, loss.error),
    )
    events.note(run, failed)


if __name__ == "__main__":
    exit_code = main(sys.argv)
    sys.stdout.flush()
    sys.stderr.flush()
    # not sys.exit: after a failure the other ranks may be gone, and tearing a process group down would wait for them
    os._exit(exit_code)
