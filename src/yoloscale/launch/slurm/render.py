"""The batch script. Pure: the same job gives the same bytes."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from yoloscale.config.locations import templates_folder
from yoloscale.config.schema import ClusterConfig
from yoloscale.config.slurm import ContainerRuntime
from yoloscale.config.time_limit import limit_s, stop_after_s
from yoloscale.launch.slurm.job import SlurmJob

TEMPLATE = "job.sbatch.j2"
_PLAIN = re.compile(r"[\w@%+=:,./\[\]-]+")
_DIRECT = (
    "partition account qos constraint exclude reservation dependency gpus_per_node cpus_per_task mem exclusive comment "
    "mail_type mail_user time"
)


def render(job: SlurmJob, templates: Path | None = None) -> str:
    """What sbatch gets."""
    environment = Environment(
        loader=FileSystemLoader(templates or templates_folder()),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  # it is a shell script; every value goes through `sh`
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["sh"] = _shell_word
    return environment.get_template(TEMPLATE).render(
        flags=[flag(name, value) for name, value in options(job)],
        job=job,
        cluster=job.cluster,
        environment=sorted(job.cluster.env.items()),
        srun=shlex.join(["srun", *srun_flags(job)]),
        node=shlex.join(node_command(job)),
    )


def options(job: SlurmJob) -> list[tuple[str, Any]]:
    """sbatch's options by their long names, sorted; True stands for one without a value."""
    found = {"job-name": job.name, "nodes": job.cluster.nodes, "ntasks-per-node": 1, "open-mode": "append"}
    found |= dict(_direct(job.cluster))
    found["output"] = job.output
    found["signal"] = f"USR1@{warning_s(job.cluster)}"
    found["requeue" if job.cluster.max_requeues > 0 else "no-requeue"] = True
    if job.cluster.export is not None:
        found["export"] = ",".join(job.cluster.export) or "NONE"
    if job.array is not None:
        limit = job.cluster.array_parallelism
        found["array"] = job.array + (f"%{limit}" if limit is not None else "")
    if _goes_on_with_fewer(job.cluster):
        found["no-kill"] = True
    found |= {name.replace("_", "-"): value for name, value in job.cluster.sbatch.items()}
    return sorted((name, value) for name, value in found.items() if value not in (None, False))


def _direct(cluster: ClusterConfig) -> Iterator[tuple[str, Any]]:
    for name in _DIRECT.split():
        value = getattr(cluster, name)
        if name == "exclusive" and value is not None and value.lower() == "true":
            value = True
        yield name.replace("_", "-"), value


def flag(name: str, value: Any) -> str:
    """One option as it stands after `#SBATCH `, which sbatch splits into words at white space outside of quotes."""
    if value is True:
        return f"--{name}"
    text = str(value)
    if not _PLAIN.fullmatch(text):
        text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"--{name}={text}"


def warning_s(cluster: ClusterConfig) -> int:
    """How long before its end SLURM is to warn the job."""
    if cluster.time is None:
        return math.ceil(cluster.stop_before_s)
    limit = limit_s(cluster.time)
    return math.ceil(limit - stop_after_s(limit, cluster.stop_before_s))


def srun_flags(job: SlurmJob) -> list[str]:
    """One task on each node, with all that the job has there."""
    cluster = job.cluster
    flags = ["--ntasks-per-node=1", f"--nodes={cluster.nodes}", "--export=ALL"]
    flags.append("--kill-on-bad-exit=" + ("0" if _goes_on_with_fewer(cluster) else "1"))
    if _goes_on_with_fewer(cluster):
        flags.append("--no-kill")
    if cluster.cpus_per_task is not None:
        flags.append(f"--cpus-per-task={cluster.cpus_per_task}")  # srun does not inherit it
    if cluster.container_image is not None and cluster.container_runtime is ContainerRuntime.pyxis:
        flags.append(f"--container-image={cluster.container_image}")
        flags.append(f"--container-mounts={','.join(_mounts(job))}")
    return flags


def node_command(job: SlurmJob) -> list[str]:
    """What srun starts on each node."""
    program = ["-m", "yoloscale.launch.slurm.node", str(job.folder)]
    cluster = job.cluster
    if cluster.container_image is None:
        return [job.python, *program]
    if cluster.container_runtime is ContainerRuntime.pyxis:
        return [cluster.container_python, *program]
    binds = [word for mount in _mounts(job) for word in ("--bind", mount)]
    nv = ["--nv"] if cluster.gpus_per_node else []
    return ["apptainer", "exec", *nv, *binds, cluster.container_image, cluster.container_python, *program]


def _mounts(job: SlurmJob) -> list[str]:
    own = [job.folder, job.cache]
    return [*(f"{path}:{path}" for path in own), *job.cluster.container_mounts]


def _goes_on_with_fewer(cluster: ClusterConfig) -> bool:
    return cluster.min_nodes is not None and cluster.min_nodes < cluster.nodes


def _shell_word(value: object) -> str:
    return shlex.quote(str(value))
