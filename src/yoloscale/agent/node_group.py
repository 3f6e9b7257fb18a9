"""The nodes of attempt after attempt, for the launcher of node 0: they meet before one, and may have to meet anew.

Of a run that needs all of its nodes, torchrun's agents wait for each other; here is nothing to be done for it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from yoloscale.agent.attempt import Ended, Observer, say_launched
from yoloscale.agent.members import FEWEST_TIMEOUT_S, Members, Regrouping, named
from yoloscale.agent.outcome import Failure, Outcome, failed
from yoloscale.agent.spec import JobStep, NodeSpec, among
from yoloscale.agent.stop_signals import StopSignals
from yoloscale.config.schema import RunConfig
from yoloscale.exit_codes import FAILED, STOPPED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.formatting import counted


@dataclass(frozen=True)
class Change:
    """Why the nodes meet anew after an attempt, and how many they will be."""

    cause: str
    nodes: int


class NodeGroup:
    """What lasts from attempt to attempt. `observer` is to look on while one goes on."""

    def __init__(
        self, run: RunDirectory, config: RunConfig, observer: Observer, requests: StopSignals, step: JobStep | None
    ) -> None:
        self.observer = Observer(self._watch, observer.say)
        self._run, self._outer, self._requests = run, observer, requests
        cluster = config.cluster
        self._procs_per_node = cluster.procs_per_node or 1
        self._members: Members | None = None
        if cluster.min_nodes is not None and cluster.min_nodes < cluster.nodes:
            nodes, start = (min(cluster.nodes, step.nodes), step.start) if step is not None else (cluster.nodes, None)
            self._members = Members(run, nodes=nodes, fewest=cluster.min_nodes, start=start)
        self._regrouping: Regrouping | None = None
        self._numbers: tuple[int, ...] = ()  # that meet in this attempt
        self._trained: tuple[int, ...] = ()  # that met in the newest attempt that trained
        self._has_seen_request = False

    def meet(self, spec: NodeSpec, is_asked_to_stop: Callable[[], bool]) -> NodeSpec | Outcome | None:
        """The attempt with the nodes that came; the run's end if they are too few; None if a stop was asked for."""
        if self._members is None:
            return spec
        say_launched(self._run, spec)
        events.append(self._run, events.Setup(attempt=spec.attempt, phase="waiting for the other nodes"))

        def is_asked() -> bool:
            self._outer.watch()
            return is_asked_to_stop()

        numbers = self._members.gather(is_asked)
        if numbers is None:
            return None
        if len(numbers) < self._members.fewest:
            return self._too_few(spec, numbers)
        if absent := [number for number in range(self._members.nodes) if number not in numbers]:
            nodes = counted(self._members.nodes, "node")
            self._outer.say(f"{named(absent)} not there: starting with {len(numbers)} of {nodes}")
        self._members.began(numbers)
        self._numbers = numbers
        regrouping = Regrouping(self._members, numbers, self._outer.say)
        self._regrouping, self._requests.regroups = regrouping, lambda training: regrouping.is_due(is_training=training)
        return among(spec, numbers)

    def change(self, ended: Ended) -> Change | None:
        """Why the nodes meet anew after an attempt: it was stopped for that, or could not start with a new one."""
        regrouping, self._regrouping = self._regrouping, None
        self._requests.regroups = lambda is_training: False
        if (unfit := self._unfit(ended)) is not None:
            return unfit
        self._trained = self._numbers if ended.was_training else self._trained
        if regrouping is None or not regrouping.cause or ended.outcome.exit_code != STOPPED or self._has_seen_request:
            return None
        return Change(regrouping.cause, regrouping.nodes)

    def close(self) -> None:
        """The other nodes need not answer any more."""
        if self._members is not None:
            self._members.close()

    def _unfit(self, ended: Ended) -> Change | None:
        """A node that has joined a run which trained without it, and whose rank could not start: it is left out.

        Of a run that has not trained yet, or never without that node, this is the run's failure.
        """
        failure = ended.outcome.failure
        if self._members is None or not self._trained or ended.was_training or failure is None or failure.rank is None:
            return None
        number = self._numbers[failure.rank // self._procs_per_node]
        others = len(self._numbers) - 1
        if ended.outcome.exit_code != FAILED or failure.collateral or number in self._trained:
            return None
        if others < self._members.fewest:
            return None
        self._members.leave_out(number)
        cause = f"node {number} could not start ({failure.who}: {failure.error})"
        self._outer.say(f"{cause}: to go on without it, until its command is started again")
        return Change(cause, others)

    def _watch(self) -> None:
        self._outer.watch()
        if self._members is None:
            return
        self._members.look()
        # ranks that stop for their nodes remove the file of a person who wants them to stop for good
        is_stopping = self._regrouping is not None and bool(self._regrouping.cause)
        self._has_seen_request = self._has_seen_request or (is_stopping and self._run.stop_request.exists())

    def _too_few(self, spec: NodeSpec, numbers: Sequence[int]) -> Outcome:
        assert self._members is not None, "they met"
        error = (
            f"{len(numbers)} of at least {counted(self._members.fewest, 'node')} came within {FEWEST_TIMEOUT_S:.0f} s: "
            "start the command on the others, or lower cluster.min_nodes"
        )
        failure = Failure(None, socket.gethostname(), None, error, is_recorded=True, is_unmet=True)
        events.note(self._run, failed(failure, spec.attempt))
        return Outcome(FAILED, failure)
