"""What a SLURM job is asked for with: keys of the `cluster` group by sbatch's own names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from yoloscale.config.schema.job import JobConfig

CPUS_PER_GPU = 8  # for a rank and its loader processes, where neither a person nor the site says


@dataclass
class SlurmConfig(JobConfig):
    """Options of sbatch, as it names them. Only with launcher=slurm.

    There is one task on each node, torchrun's agent with the node's ranks: `cpus_per_task`, `mem` and `gpus_per_node`
    are those of a node.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    reservation: str | None = None
    dependency: str | None = None
    gpus_per_node: str | None = None  # a count, or TYPE:COUNT
    cpus_per_task: int | None = None  # None: CPUs come with the GPUs, or as the site has it
    mem: str | None = None
    exclusive: str | None = None  # true, user or mcs
    comment: str | None = None
    mail_type: str | None = None
    mail_user: str | None = None
    sbatch: dict[str, Any] = field(default_factory=dict)  # any other option by its long name; true: without a value
    template: str | None = None  # of the script, in place of the shipped slurm/job.sbatch.j2


# keys that are options of sbatch as they stand; `cluster.time` is one, too, which other launchers know as well
OPTIONS = (
    *("partition", "account", "qos", "constraint", "exclude", "reservation", "dependency", "gpus_per_node"),
    *("cpus_per_task", "mem", "exclusive", "comment", "mail_type", "mail_user", "time"),
)


def passed_through(config: SlurmConfig) -> dict[str, Any]:
    """`cluster.sbatch` as sbatch spells it: names with dashes, True without a value; what is false or null is left out.

    Typed words are text, so `true` is as good as True.
    """
    words: dict[str, Any] = {"true": True, "false": None, "null": None}
    named = {name.replace("_", "-"): value for name, value in config.sbatch.items()}
    named = {name: words.get(str(value).lower(), value) for name, value in named.items()}
    return {name: value for name, value in named.items() if value is not None}


def is_exclusive(config: SlurmConfig) -> bool:
    """Whether the job has its nodes, with all that is in them, for itself."""
    return config.exclusive is not None and config.exclusive.lower() != "false"


def gpus_of(config: SlurmConfig) -> int | None:
    """How many GPUs each node of the job has; None if none are asked for, or what is asked for cannot be read."""
    if config.gpus_per_node is not None:
        count = config.gpus_per_node.rpartition(":")[2]
        return int(count) if re.fullmatch("[0-9]+", count) else None
    return gpus_in(str(passed_through(config).get("gres", ""))) or None


def lacks_cpus(config: SlurmConfig) -> bool:
    """Whether the job asks for GPUs and says nothing of CPUs: most sites give such a node's task a single one."""
    says = config.cpus_per_task is not None or is_exclusive(config)
    others = passed_through(config).keys() & {"cpus-per-gpu", "cpus-per-task", "mincpus", "exclusive"}
    return gpus_of(config) is not None and not says and not others


def gpus_in(gres: str) -> int:
    """GPUs in a list of generic resources; commas in brackets, behind a count, part none of them."""
    return sum(_gpus_in(word) for word in re.split(r",(?![^()]*\))", gres))


def _gpus_in(gres: str) -> int:
    """GPUs in a generic resource: `gpu`, `gpu:4`, `gpu:a100:4(S:0-1)`, `gres/gpu:4`."""
    match = re.fullmatch(r"(?:gres[:/])?gpu(?:[:=](?P<rest>[^()]*))?(?:\(.*\))?", gres.strip())
    if match is None:
        return 0
    count = (match["rest"] or "").rpartition(":")[2]
    return int(count) if re.fullmatch("[0-9]+", count) else 1
