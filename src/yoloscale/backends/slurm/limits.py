"""What a site's SLURM allows: wall time, nodes, jobs, array sizes; asked before anything is made or submitted.

Where SLURM does not answer nothing is refused: a script may be printed for another machine, and sbatch has its say.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from yoloscale.backends.slurm.commands import SlurmError, call
from yoloscale.backends.slurm.facts import seconds_of
from yoloscale.backends.slurm.site import default_partition, partition_of
from yoloscale.config.schema import ClusterConfig, RunConfig
from yoloscale.config.schema.slurm import is_exclusive, passed_through
from yoloscale.errors import Problem
from yoloscale.system.remarks import Say
from yoloscale.system.slurm_step import job_of

_TIMEOUT_S = 5.0
_ASSOCIATIONS = "format=account,partition,maxsubmitjobs,maxwall,defaultqos"
_QOS = "format=name,maxsubmitjobsperuser,maxwall"
_LISTS = "`sinfo -o '%P %l %D'` lists each partition's longest time and its nodes"


@dataclass(frozen=True)
class Site:
    """What SLURM's own commands have printed; empty where one did not answer."""

    config: str = ""  # scontrol show config
    partitions: str = ""  # scontrol show partition
    associations: str = ""  # sacctmgr show associations, of this person
    qos: str = ""  # sacctmgr show qos


@dataclass(frozen=True)
class ArrayLimits:
    """An index of an array is below `size`, and one array has at most `tasks` elements."""

    size: int
    tasks: int


def ask_site() -> Site:
    """Ask what the limits are; accounts only where the site enforces theirs."""
    config, partitions = _said("scontrol", "show", "config"), _said("scontrol", "show", "partition")
    if not re.search(r"^AccountingStorageEnforce\s*=.*\b(limits|safe|qos)\b", config, re.MULTILINE):
        return Site(config, partitions)
    sacctmgr = ("sacctmgr", "--noheader", "--parsable2", "show")
    associations = _said(*sacctmgr, "associations", f"user={getpass.getuser()}", _ASSOCIATIONS)
    return Site(config, partitions, associations, _said(*sacctmgr, "qos", _QOS))


def site_problems(
    config: RunConfig, say: Say, *, points: int = 1, asked: Callable[[], Site] = ask_site
) -> list[Problem]:
    """What the site would refuse, or leave in the queue for ever, about a run, or a sweep of so many points.

    `say` gets a line for each default of the site that decides how long, and with what memory, the job runs. Inside of
    a job nobody is asked.
    """
    if config.cluster.is_here or job_of(os.environ) is not None:
        return []
    site = asked()
    for line in defaults(config.cluster, site):
        say(line)
    return [*_wall_time(config.cluster, site), *_nodes(config.cluster, site), *_jobs(config.cluster, site, points)]


def array_limits(config: str) -> ArrayLimits | None:
    """The largest array, from `scontrol show config`; None where it does not tell."""
    size = _number(config, "MaxArraySize")
    if size is None:
        return None
    tasks = re.search(r"\bmax_array_tasks=(\d+)", config)
    return ArrayLimits(size, min(size, int(tasks[1])) if tasks else size)


def ask_array_limits() -> ArrayLimits | None:
    """The largest array that the site takes; None where SLURM does not tell."""
    return array_limits(_said("scontrol", "show", "config"))


def defaults(cluster: ClusterConfig, site: Site) -> list[str]:
    """What the site decides where the config leaves it open."""
    names, options = _partitions(cluster, site), passed_through(cluster)
    block = partition_of(site.partitions, names[0]) if names else ""
    lines = []
    limit = _value(block, "DefaultTime")
    limit = _value(block, "MaxTime") if limit in (None, "NONE") else limit
    if _asked_time(cluster) is None and seconds_of(limit) is not None:
        again = "; a run that is not finished by then goes on, requeued" if cluster.max_requeues else ""
        lines.append(f"cluster.time is not given: partition {names[0]} ends a job after {limit}{again}")
    says_memory = cluster.mem is not None or is_exclusive(cluster) or any(name.startswith("mem") for name in options)
    for name, unit in (("DefMemPerCPU", "CPU"), ("DefMemPerNode", "node")):
        amount = _number(block, name) or _number(site.config, name)
        if not says_memory and amount is not None:
            lines.append(f"cluster.mem is not given: the site gives a job {amount} MB for each {unit}")
    return lines


def _wall_time(cluster: ClusterConfig, site: Site) -> list[Problem]:
    """A time that every partition, or every account, of the job refuses; a QOS may lift what a partition says."""
    wish = _asked_time(cluster)
    if wish is None:
        return []
    key, text, seconds = wish
    longest = [(_value(partition_of(site.partitions, name), "MaxTime"), name) for name in _partitions(cluster, site)]
    may_be_lifted = cluster.qos is not None or cluster.reservation is not None
    limits = [(seconds_of(limit), f"partition {name}", limit) for limit, name in longest] if not may_be_lifted else []
    for group in (limits, _account_limits(cluster, site, 3), _qos_limits(cluster, site, 2)):
        if group and all(limit is not None and limit < seconds for limit, _, _ in group):
            _, who, words = max(group, key=lambda entry: entry[0] or 0.0)
            instead = f"write {key}={words}: a run that is not finished by then is requeued and goes on; {_LISTS}"
            return [Problem(key, f"{text}, but {who} ends jobs after {words}", instead)]
    return []


def _nodes(cluster: ClusterConfig, site: Site) -> list[Problem]:
    most = []
    for name in _partitions(cluster, site):
        block = partition_of(site.partitions, name)
        counts = [int(count) for key in ("MaxNodes", "TotalNodes") if (count := _value(block, key) or "").isdigit()]
        most.append((min(counts, default=None), name))
    if not most or any(count is None or count >= cluster.nodes for count, _ in most):
        return []
    largest, name = max((count or 0, name) for count, name in most)
    words = f"{cluster.nodes}, but a job in partition {name} has {largest} at most"
    return [Problem("cluster.nodes", words, f"write cluster.nodes={largest} or fewer, or another partition; {_LISTS}")]


def _jobs(cluster: ClusterConfig, site: Site, points: int) -> list[Problem]:
    """More jobs than may be submitted at a time: each element of an array counts."""
    most = [(number, "the whole cluster") for number in [_number(site.config, "MaxJobCount")] if number is not None]
    for entries in (_account_limits(cluster, site, 2), _qos_limits(cluster, site, 1)):
        if entries and all(number is not None for number, _, _ in entries):
            number, who, _ = max(entries, key=lambda entry: entry[0] or 0.0)
            most.append((int(number or 0), who))
    too_few = [(limit, who) for limit, who in most if limit < points]
    if not too_few:
        return []
    limit, who = min(too_few)
    words = f"{points} points, each of which is a job, but {who} takes {limit} at a time"
    if points == 1:
        return [Problem("cluster.launcher", f"{who} takes no job", "write another cluster.account or cluster.qos")]
    fewer = f"sweep over {limit} points or fewer, and start the next sweep when they are through"
    instead = f"{fewer}; or salloc nodes and type the same with cluster=local there: points share the allocation"
    return [Problem("sweep", words, instead)]


def _asked_time(cluster: ClusterConfig) -> tuple[str, str, float] | None:
    """Key, words and seconds of the limit that was asked for."""
    option = passed_through(cluster).get("time")
    key, text = ("cluster.time", cluster.time) if option is None else ("cluster.sbatch.time", str(option))
    seconds = seconds_of(text)
    return None if text is None or seconds is None else (key, text, seconds)


def _partitions(cluster: ClusterConfig, site: Site) -> list[str]:
    """The partitions that the job may go to, as far as the site tells of them."""
    names = str(cluster.partition or passed_through(cluster).get("partition") or default_partition(site.partitions))
    return [name for name in names.split(",") if name and partition_of(site.partitions, name)]


def _account_limits(cluster: ClusterConfig, site: Site, column: int) -> list[tuple[float | None, str, str]]:
    """Limit, whose it is and its words, of each association that the job may count for."""
    rows = _rows(cluster, site)
    return [(_limit(row[column]), f"account {row[0]}", row[column]) for row in rows]


def _rows(cluster: ClusterConfig, site: Site) -> list[list[str]]:
    """Associations of this person that fit the job's account and partition."""
    rows = [line.split("|") for line in site.associations.splitlines() if line.count("|") == 4]
    partitions = _partitions(cluster, site)
    return [
        row
        for row in rows
        if cluster.account in (None, row[0]) and (not row[1] or not partitions or row[1] in partitions)
    ]


def _qos_limits(cluster: ClusterConfig, site: Site, column: int) -> list[tuple[float | None, str, str]]:
    """As `_account_limits`, of the QOS that is asked for, or of those that the job may get by itself."""
    names = {cluster.qos} if cluster.qos is not None else {row[4] for row in _rows(cluster, site)}
    rows = [line.split("|") for line in site.qos.splitlines() if line.count("|") == 2]
    return [(_limit(row[column]), f"QOS {row[0]}", row[column]) for row in rows if row[0] in names]


def _limit(text: str) -> float | None:
    """A number of jobs, or seconds of a time; None where there is no limit."""
    return float(text) if text.isdigit() else seconds_of(text)


def _value(text: str, key: str) -> str | None:
    """A value of `scontrol show config` or `show partition`; None where it is not there."""
    match = re.search(rf"(?:^|\s){key}\s*=\s*(\S+)", text)
    return match[1] if match else None


def _number(text: str, key: str) -> int | None:
    value = _value(text, key) or ""
    return int(value) if value.isdigit() and int(value) > 0 else None


def _said(*argv: str) -> str:
    try:
        return call(argv, timeout_s=_TIMEOUT_S)
    except SlurmError:
        return ""
