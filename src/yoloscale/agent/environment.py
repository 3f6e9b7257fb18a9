"""The environment variables a job gets on top of what the launcher inherited. Pure; values are never secrets."""

from __future__ import annotations

from collections.abc import Mapping

from yoloscale.agent.spec import NodeSpec
from yoloscale.config.schema import Device
from yoloscale.system import network
from yoloscale.system.variables import ATTEMPT, MARK, RUN_ID, STOP_AT, THREADS, TORCHRUN, VISIBLE_GPUS

FORK_SAFE = "FI_EFA_FORK_SAFE"  # read by AWS' network alone; NCCL itself sees to InfiniBand's


def job_variables(spec: NodeSpec, inherited: Mapping[str, str], *, interface: str | None) -> dict[str, str]:
    """Variables set for the agent and its ranks; `interface` is the network interface that reaches the other ranks."""
    variables = {name: str(spec.threads) for name in THREADS}
    variables |= {ATTEMPT: str(spec.attempt), MARK: spec.mark, "PYTHONFAULTHANDLER": "1"}
    if spec.run_id is not None:
        variables[RUN_ID] = spec.run_id
    if spec.stop_at is not None:
        variables[STOP_AT] = f"{spec.stop_at:.3f}"
    visible = visible_gpus(spec, inherited.get(VISIBLE_GPUS))
    if visible is not None:
        variables[VISIBLE_GPUS] = visible
    variables |= network.variables(interface, spec.nodes, inherited)
    if spec.nodes > 1 and FORK_SAFE not in inherited:
        variables[FORK_SAFE] = "1"  # loaders are forked from a process that may hold memory of the network card
    return variables


def job_environment(variables: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of the agent: inherited, less the traces of an outer torchrun, plus ours."""
    traces = {name for name in inherited if name in TORCHRUN or name.startswith("TORCHELASTIC_")}
    return {**{name: value for name, value in inherited.items() if name not in traces}, **variables}


def visible_gpus(spec: NodeSpec, already_visible: str | None) -> str | None:
    """CUDA_VISIBLE_DEVICES for the job; None leaves it as it is. Indices count among the GPUs visible already."""
    if spec.device is Device.cpu:
        return ""
    if spec.gpus is None:
        return None
    if not already_visible:
        return ",".join(str(index) for index in spec.gpus)
    names = [name.strip() for name in already_visible.split(",")]
    return ",".join(names[index] for index in spec.gpus)
