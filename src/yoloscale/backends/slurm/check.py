"""What can be wrong with a SLURM job before sbatch is asked. Pure; what only the site knows is left to sbatch."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

from yoloscale.backends.slurm.check_environment import environment_problems
from yoloscale.config.compose.sbatch_options import INSTEAD
from yoloscale.config.schema import ClusterConfig, Device
from yoloscale.config.schema.job import ContainerRuntime
from yoloscale.config.schema.slurm import OPTIONS, SlurmConfig, gpus_in, gpus_of, is_exclusive, passed_through
from yoloscale.errors import Problem

_GPUS = re.compile(r"([^\s:,]+:)?[0-9]+")
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9-]+")
_UNWRITABLE = re.compile(r"[\n\r\0]")  # sbatch reads a line behind #SBATCH, and has no way to write these
_ONE_LINE = "write it on one line; sbatch takes no line breaks"
_EXCLUSIVE = ("true", "false", "user", "mcs", "topo")
_MOUNT = re.compile(r"/[^:,\n]*:/[^:,\n]*(:[^:,\n]+)?")


def slurm_problems(cluster: ClusterConfig) -> list[Problem]:
    """Problems of a resolved cluster section with launcher=slurm."""
    problems = [*_texts(cluster), *_gpus(cluster), *_options(cluster), *_container(cluster)]
    return [*problems, *_passed_through(cluster), *environment_problems(cluster)]


def slurm_only(cluster: ClusterConfig) -> list[Problem]:
    """Problems of a cluster section with another launcher: settings that nobody would look at."""
    defaults, problems = SlurmConfig(), list[Problem]()
    for name in (field.name for field in fields(SlurmConfig)):
        value = getattr(cluster, name)
        if value != getattr(defaults, name):
            words = ", ".join(value) if isinstance(value, dict) else f"{value!r}"  # values of `env` may be secrets
            instead = "write cluster=slurm as well, or leave it out"
            problems.append(Problem(f"cluster.{name}", f"{words} with launcher={cluster.launcher}", instead))
    return problems


def _texts(cluster: ClusterConfig) -> list[Problem]:
    """Values of one word: none is empty, and those that stand behind #SBATCH are on one line."""
    problems = []
    for name in (field.name for field in fields(SlurmConfig)):
        value = getattr(cluster, name)
        if not isinstance(value, str):
            continue
        if not value.strip():
            problems.append(Problem(f"cluster.{name}", repr(value), "write a value, or leave it out"))
        elif _UNWRITABLE.search(value) if name in OPTIONS else "\0" in value:
            problems.append(Problem(f"cluster.{name}", repr(value), _ONE_LINE))
    for name in ("python", "template", "container_python"):
        value = getattr(cluster, name)
        if value is not None and value.startswith("~"):
            instead = "write the whole path; nothing is expanded in it"
            problems.append(Problem(f"cluster.{name}", repr(value), instead))
    return problems


def _gpus(cluster: ClusterConfig) -> list[Problem]:
    """Ranks, the GPUs asked for, and the device."""
    gpus, ranks = gpus_of(cluster), cluster.procs_per_node or 1
    key = "cluster.gpus_per_node" if cluster.gpus_per_node is not None else "cluster.sbatch.gres"
    value = cluster.gpus_per_node or cluster.sbatch.get("gres")
    if cluster.gpus_per_node is not None and (problem := _gpu_count(cluster, cluster.gpus_per_node)):
        return [problem]
    if cluster.gpus is not None:
        words = f"{cluster.gpus}, but SLURM chooses the GPUs of a job"
        instead = f"write cluster.gpus_per_node={len(cluster.gpus) or 1} in place of device=0,1 or cluster.gpus=[0,1]"
        if len(cluster.gpus) == 1 and cluster.gpus[0] > 0:
            instead += f"; or cluster.gpus_per_node={cluster.gpus[0]}, if that is how many"
        return [Problem("cluster.gpus", words, instead)]
    if cluster.device is Device.auto:
        words = "not given, and the job has its nodes for itself without naming GPUs: they may have some or none"
        instead = "write cluster.gpus_per_node=GPUS, or device=cuda cluster.procs_per_node=GPUS, or device=cpu"
        return [Problem("cluster.device", words, instead)]
    if cluster.device is Device.cpu and gpus:
        instead = "leave it out, or write device=cuda"
        return [Problem(key, f"{value!r} with device=cpu", instead)]
    if cluster.device is Device.cuda and not gpus and not is_exclusive(cluster):
        instead = f"write cluster.gpus_per_node={ranks}, or device=cpu"
        return [Problem("cluster.device", "'cuda', but the job asks for no GPUs", instead)]
    if cluster.device is Device.cuda and gpus and ranks > gpus:
        instead = f"write cluster.procs_per_node={gpus}, or ask for more; each rank has a GPU of its own"
        words = f"{ranks} ranks, but {key}={value} asks for {gpus} GPU{'s' if gpus > 1 else ''}"
        return [Problem("cluster.procs_per_node", words, instead)]
    return []


def _gpu_count(cluster: ClusterConfig, text: str) -> Problem | None:
    """A number that is none, has the kind of resource before it as `--gres` has, or is asked for twice."""
    count = text.removeprefix("gres/").removeprefix("gres:").removeprefix("gpu:")
    if not (_GPUS.fullmatch(count) and gpus_of(cluster)):
        return Problem("cluster.gpus_per_node", repr(text), "write a count above 0, or TYPE:COUNT like a100:8")
    if count != text:
        return Problem("cluster.gpus_per_node", repr(text), f"write cluster.gpus_per_node={count}")
    gres = str(passed_through(cluster).get("gres", ""))
    if gpus_in(gres) > 0:
        instead = f"leave one of them out: cluster.gpus_per_node={text} is --gres=gpu:{text}"
        return Problem("cluster.sbatch.gres", f"{gres!r} beside cluster.gpus_per_node={text}", instead)
    return None


def _options(cluster: ClusterConfig) -> list[Problem]:
    problems = []
    if cluster.rdzv_endpoint is not None:
        instead = "leave it out: the ranks meet on the first node that SLURM gives"
        words = f"{cluster.rdzv_endpoint!r} with launcher=slurm"
        problems.append(Problem("cluster.rdzv_endpoint", words, instead))
    if cluster.exclusive is not None and cluster.exclusive.lower() not in _EXCLUSIVE:
        problems.append(Problem("cluster.exclusive", repr(cluster.exclusive), f"one of {', '.join(_EXCLUSIVE)}"))
    others = [name for name in ("mem-per-cpu", "mem-per-gpu") if name in passed_through(cluster)]
    if cluster.mem is not None and others:
        words = f"{cluster.mem!r} beside cluster.sbatch.{others[0].replace('-', '_')}, and sbatch takes one of them"
        problems.append(Problem("cluster.mem", words, "write cluster.mem=null, or leave the other one out"))
    if cluster.mail_user is not None and cluster.mail_type is None:
        instead = "write cluster.mail_type=END,FAIL as well; SLURM writes no mail without it"
        problems.append(Problem("cluster.mail_user", f"{cluster.mail_user!r} without cluster.mail_type", instead))
    return problems


def _container(cluster: ClusterConfig) -> list[Problem]:
    defaults, problems = SlurmConfig(), list[Problem]()
    if cluster.container_image is None:
        for name in ("container_runtime", "container_mounts", "container_python"):
            value = getattr(cluster, name)
            if value != getattr(defaults, name):
                words = f"{value.value if isinstance(value, ContainerRuntime) else value!r} without an image"
                problems.append(Problem(f"cluster.{name}", words, "write cluster.container_image=… or leave it out"))
    for mount in cluster.container_mounts:
        if not _MOUNT.fullmatch(mount):
            instead = "write HOST:CONTAINER, two absolute paths without commas and colons, like /data/coco:/data/coco"
            problems.append(Problem("cluster.container_mounts", repr(mount), instead))
    return problems


def _passed_through(cluster: ClusterConfig) -> list[Problem]:
    """`cluster.sbatch`, the options that are handed on as they are."""
    problems, names = list[Problem](), set[str]()
    for key, value in cluster.sbatch.items():
        name = key.replace("_", "-")
        problem = _name_problem(name, name in names) or _value_problem(value)
        if problem is not None:
            words, instead = problem
            problems.append(Problem(f"cluster.sbatch.{key}", words, instead))
        names.add(name)
    return problems


def _name_problem(name: str, is_second: bool) -> tuple[str, str] | None:
    if not _OPTION.fullmatch(name):
        return "no long option", "write the name without dashes before it, as in cluster.sbatch.nodelist=node1"
    if is_second:
        return "given twice, with `_` and with `-`", "write it once"
    if name in INSTEAD:
        return "set by yoloscale itself, or by a key of its own", INSTEAD[name]
    short_for = [option for option in INSTEAD if option.startswith(name)]
    if short_for:  # getopt takes a beginning for the whole
        return f"sbatch reads it as --{short_for[0]}", f"write the whole name, or: {INSTEAD[short_for[0]]}"
    return None


def _value_problem(value: Any) -> tuple[str, str] | None:
    if not isinstance(value, (str, int, float, bool, type(None))):
        return f"{value!r}", "write one value: text, a number, or true for an option that has none"
    if isinstance(value, str) and _UNWRITABLE.search(value):
        return f"{value!r}", _ONE_LINE
    return None
