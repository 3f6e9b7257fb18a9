"""The argv of torchrun's agent. Pure: what the installed torch can do and where this node is reached come in."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

from yoloscale.agent.spec import NodeSpec
from yoloscale.system.network import split_endpoint
from yoloscale.system.signals import STOP_SIGNALS

MONITOR_INTERVAL_S = 0.2
JOIN_TIMEOUT_S = 600  # how long the first node waits for the others
READ_TIMEOUT_S = 60  # how long a node tries to reach the first one
SHUTDOWN_TIMEOUT_S = 60  # from the request to stop until a rank is killed: a checkpoint is saved meanwhile


@dataclass(frozen=True)
class TorchrunFeatures:
    """Flags that only newer releases of torch have."""

    signals_to_handle: bool = True
    shutdown_timeout: bool = True


def installed_features() -> TorchrunFeatures:
    """Read from the source of the installed torchrun, since importing torch takes seconds; all, if it is not there."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return TorchrunFeatures()
    source = Path(next(iter(spec.submodule_search_locations))) / "distributed" / "run.py"
    try:
        text = source.read_text(encoding="utf-8")
    except OSError:
        return TorchrunFeatures(signals_to_handle=False, shutdown_timeout=False)
    return TorchrunFeatures('"--signals-to-handle"' in text, '"--shutdown-timeout"' in text)


def render(spec: NodeSpec, features: TorchrunFeatures) -> list[str]:
    """The command that runs one node's agent.

    On one node everything stays on the loopback interface and the agent takes a free port by itself.
    """
    argv = [sys.executable, "-m", "torch.distributed.run"]
    argv += [f"--nnodes={spec.nodes}", f"--nproc-per-node={spec.procs_per_node}", "--max-restarts=0"]
    argv += [f"--monitor-interval={MONITOR_INTERVAL_S}", *_rendezvous(spec)]
    if features.signals_to_handle:
        # passed on to the ranks as requests to stop; parent_death.py sees to SIGUSR2
        argv.append(f"--signals-to-handle={','.join(number.name for number in STOP_SIGNALS)}")
    if features.shutdown_timeout:
        argv.append(f"--shutdown-timeout={SHUTDOWN_TIMEOUT_S}")
    return [*argv, "-m", "yoloscale.worker", str(spec.run)]


def _rendezvous(spec: NodeSpec) -> list[str]:
    endpoint = spec.rdzv_endpoint or "127.0.0.1:0"
    if spec.nodes > 1:
        return _static(spec, endpoint)
    settings = f"is_host=1,join_timeout={JOIN_TIMEOUT_S},read_timeout={READ_TIMEOUT_S}"
    flags = ["--rdzv-backend=c10d", f"--rdzv-endpoint={endpoint}", f"--rdzv-id={spec.job_id}"]
    return [*flags, f"--rdzv-conf={settings}", "--local-addr=127.0.0.1"]


def _static(spec: NodeSpec, endpoint: str) -> list[str]:
    """Ranks in the order of the nodes: a scheduler's follows the switches, and so do NCCL's rings then.

    c10d orders nodes by their addresses as text. Here they have the numbers that they are given, and rank 0 is on
    node 0, which hosts the store. The store's port is that of the endpoint.
    """
    host, port = split_endpoint(endpoint)
    address = f"[{host}]" if ":" in host else host
    flags = ["--rdzv-backend=static", f"--node-rank={spec.group_rank}", f"--rdzv-id={spec.job_id}"]
    return [*flags, f"--rdzv-endpoint={address}:{port}", f"--rdzv-conf=timeout={JOIN_TIMEOUT_S}"]
