"""What one node is to start for one attempt of a run: plain data, from which argv and environment are rendered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from yoloscale.config.schema import Device, RunConfig
from yoloscale.system import cpus


@dataclass(frozen=True)
class NodeSpec:
    """One node's part of one attempt."""

    run: Path  # absolute
    attempt: int  # from 1
    job_id: str  # the same on every node of an attempt, different between attempts and runs
    procs_per_node: int
    threads: int  # CPU threads of a rank
    device: Device = Device.cpu
    gpus: tuple[int, ...] | None = None  # indices into the GPUs this process sees; None: all of them
    nodes: int = 1
    members: tuple[int, ...] | None = None  # of a run that may go on with fewer: numbers of the nodes that take part
    node_rank: int = 0
    rdzv_endpoint: str | None = None  # HOST:PORT of node 0; None: this machine, a free port
    stop_at: float | None = None  # time of day (s since the epoch) at which all ranks are to save and stop
    limit_at: float | None = None  # time of day at which the launcher stops whatever is still there
    start: str | None = None  # the start of a job that this belongs to
    run_id: str | None = None  # whose folder `run` is, empty for a run without an id; None: of whatever run is there

    @property
    def mark(self) -> str:
        """Carried by every process that this node's launcher starts for the attempt, and by no other."""
        return f"{self.job_id}-{self.node_rank}"

    @property
    def group_rank(self) -> int:
        """The node's number among those that take part."""
        return self.node_rank if self.members is None else self.members.index(self.node_rank)

    @property
    def world_size(self) -> int:
        """Ranks of the whole job, with all of its nodes."""
        return self.nodes * self.procs_per_node


class JobStep(Protocol):
    """This node among those that a scheduler has started for a run, as the program of its back end sees it."""

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


def among(spec: NodeSpec, members: tuple[int, ...]) -> NodeSpec:
    """The spec in an attempt that these nodes take part in. Alone, node 0 needs nobody to reach it."""
    endpoint = spec.rdzv_endpoint if len(members) > 1 else None
    return replace(spec, members=members, nodes=len(members), rdzv_endpoint=endpoint)


def node_spec(config: RunConfig, run: Path, *, attempt: int, job_id: str, node_rank: int = 0) -> NodeSpec:
    """One node's part of a resolved config; threads come from the CPUs this process may use."""
    cluster = config.cluster
    assert cluster.procs_per_node is not None, "resolve the config first"
    return NodeSpec(
        run=run.absolute(),
        attempt=attempt,
        job_id=job_id,
        procs_per_node=cluster.procs_per_node,
        threads=cluster.threads or cpus.share(cluster.procs_per_node),
        device=cluster.device,
        gpus=tuple(cluster.gpus) if cluster.gpus is not None else None,
        nodes=cluster.nodes,
        node_rank=node_rank,
        rdzv_endpoint=cluster.rdzv_endpoint if cluster.nodes > 1 else None,
    )
