"""Who is killed by scripts/chaos, and how often each of them."""

from __future__ import annotations

import os
import random
import signal
import subprocess

import psutil

VICTIMS = {"rank 0": 4, "rank 1": 4, "all ranks": 3, "agent": 1, "launcher": 1, "everything": 2}
AGAIN = 0.5  # share of kills that are followed by another one at once


def drawn(draw: random.Random, weights: dict[str, int]) -> str:
    """One of the names, by their weights."""
    return draw.choices(list(weights), list(weights.values()))[0]


def kill(victim: str, launcher: subprocess.Popen[bytes], ranks: list[int]) -> bool:
    """Kill one of VICTIMS; whether it was there to be killed.

    Args:
        ranks: process ids of the ranks, children of the agent.
    """
    try:
        if victim.startswith("rank"):
            os.kill(ranks[int(victim[-1]) % len(ranks)], signal.SIGKILL)
        elif victim == "agent":
            _agent_of(ranks[0]).kill()
        elif victim == "launcher":
            launcher.kill()
        else:
            everybody = ([launcher.pid, _agent_of(ranks[0]).pid] if victim == "everything" else []) + ranks
            for pid in everybody:
                os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, psutil.NoSuchProcess, IndexError, ZeroDivisionError):
        return victim in ("launcher", "everything") and launcher.poll() is not None
    return True


def _agent_of(rank: int) -> psutil.Process:
    parent = psutil.Process(rank).parent()
    if parent is None or parent.pid == 1:
        raise psutil.NoSuchProcess(rank)
    return parent
