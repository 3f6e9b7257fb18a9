"""This node among those that a scheduler has started for a run."""

from __future__ import annotations

from typing import Protocol


class JobStep(Protocol):
    """What the agent is told of it by the program of a back end that starts it."""

    @property
    def start(self) -> str:
        """`JOB.…`: the same on all nodes of one start of the job, and on no other."""

    @property
    def nodes(self) -> int:
        """How many were started."""

    @property
    def first_host(self) -> str:
        """Where the rendezvous is, for all nodes to reach."""

    @property
    def port(self) -> int:
        """Of the rendezvous."""
