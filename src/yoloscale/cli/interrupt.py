"""`yoloscale interrupt RUN`: a rehearsal of what a cluster does to a run, and what to expect of it."""

from __future__ import annotations

import argparse
import json
import signal

from yoloscale.cli import arguments
from yoloscale.cli.show.ending import shown
from yoloscale.exit_codes import FINISHED
from yoloscale.launch.interrupt import interrupt
from yoloscale.runs.status import read_progress

DESCRIPTION = """\
Send a signal to the ranks of a running run, to prove that it survives what clusters do before you trust it.

  --kill  as a crash or the out-of-memory killer: the others end too, and the run restarts from its newest checkpoint
  --term  as a preemption: all ranks save a checkpoint and stop; `yoloscale resume` goes on from it, SLURM by itself
  --usr1  as SLURM's warning before a time limit: the same
  --int   as Ctrl-C: the same
  --usr2  a request for a checkpoint: it is saved and the run goes on
"""
_STOPS = "all ranks save a checkpoint at the next step and stop"
EXPECT = {
    signal.SIGKILL: "the other ranks end, and the run restarts from its newest checkpoint (cluster.max_restarts)",
    signal.SIGTERM: _STOPS,
    signal.SIGUSR1: _STOPS,
    signal.SIGINT: _STOPS,
    signal.SIGUSR2: "a checkpoint is saved at the next step, and the run goes on",
}


def main(typed: list[str]) -> int:
    """Send the signal; 0 if a rank got it."""
    made = arguments.parser("interrupt", DESCRIPTION)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    arguments.add_run(made)
    kinds = made.add_mutually_exclusive_group()
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
        flag = f"--{number.name.removeprefix('SIG').lower()}"
        text = number.name + (" (if nothing else is said)" if number is signal.SIGTERM else "")
        kinds.add_argument(flag, dest="number", action="store_const", const=number, help=text)
    made.add_argument("--rank", type=int, metavar="R", help="to this rank only; default: to all of them")
    arguments.add_output(made)
    parsed = made.parse_args(typed)
    number = parsed.number or signal.SIGTERM
    run = arguments.chosen_run(parsed)
    hits = interrupt(run, number, parsed.rank)
    path = shown(run.path)
    follow, expect = f"yoloscale logs {path} -f", EXPECT[number]
    then = follow if number in (signal.SIGKILL, signal.SIGUSR2) else f"yoloscale resume {path}"
    if expect == _STOPS and read_progress(run).is_submitted:
        expect, then = f"{_STOPS}; the job is requeued and goes on from there (cluster.max_requeues)", follow
    if parsed.output == "json":
        told = {"signal": number.name, "ranks": [vars(hit) for hit in hits], "expect": expect, "next": then}
        print(json.dumps(told, indent=1))
        return FINISHED
    for hit in hits:
        print(f"{number.name} sent to rank {hit.rank} on {hit.host} (pid {hit.pid})")
    print(f"expect  {expect}")
    print(f"next    {then}")
    return FINISHED
