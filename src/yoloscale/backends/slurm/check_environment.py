"""What can be wrong with the environment of a SLURM job: its variables, and the lines that prepare it. Pure."""

from __future__ import annotations

import re

from yoloscale.config.schema.slurm import SlurmConfig
from yoloscale.errors import Problem
from yoloscale.system.secrets import has_password, is_secret
from yoloscale.system.variables import ATTEMPT, FIRST_POINT, MARK, RUN_ID, STOP_AT, THREADS, TORCHRUN, VISIBLE_GPUS

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNED = re.compile(r"(?:^|[\s;&])([A-Za-z_][A-Za-z0-9_]*)=(?![$`]|[\"'][$`]|[\s;&]|$)", re.MULTILINE)

_LAUNCHERS = "leave it out: the launcher sets it for each rank"
_SCRIPTS = "write it in capitals: the script has a variable of this name"
_OWN = {
    **dict.fromkeys((*TORCHRUN, MARK, ATTEMPT, STOP_AT), _LAUNCHERS),
    **dict.fromkeys((RUN_ID, FIRST_POINT), "leave it out: the script sets it"),
    **dict.fromkeys(THREADS, "write cluster.threads=N"),
    VISIBLE_GPUS: "leave it out: SLURM chooses the GPUs; cluster.gpus_per_node=N",
    **dict.fromkeys(("BASHOPTS", "EUID", "PPID", "SHELLOPTS", "UID"), "leave it out: the shell keeps it as it is"),
    **dict.fromkeys(("folder", "python", "image", "mounts", "step", "code"), _SCRIPTS),
}
_PREFIXES = {
    "SLURM_": "leave it out: SLURM sets it, and srun reads it",
    "SRUN_": "leave it out: srun reads it",
    "SBATCH_": "leave it out: sbatch has read it before the script runs; write cluster.sbatch.OPTION=VALUE",
    "TORCHELASTIC_": _LAUNCHERS,
}


def environment_problems(cluster: SlurmConfig) -> list[Problem]:
    """Problems of `env`, `export` and `setup`. No value is repeated that may be a secret."""
    problems = [_variable(name, value) for name, value in cluster.env.items()]
    problems += [_exported(entry) for entry in cluster.export or ()]
    problems += [_line(line) for line in cluster.setup]
    return [problem for problem in problems if problem is not None]


def _variable(name: str, value: str) -> Problem | None:
    key = f"cluster.env.{name}"
    if not _NAME.fullmatch(name):
        return Problem(key, "no name of a variable", "write letters, digits and _, not starting with a digit")
    advice = _OWN.get(name) or next((hint for prefix, hint in _PREFIXES.items() if name.startswith(prefix)), None)
    if advice is not None:
        return Problem(key, "not for the config", advice)
    if is_secret(name) or has_password(value):
        return Problem(key, "looks like a secret, which would stand in the script and in config.yaml", _by_name(name))
    if "\0" in value:
        return Problem(key, repr(value), "write it without the null character")
    return None


def _exported(entry: str) -> Problem | None:
    if entry in ("ALL", "NONE", "NIL"):
        instead = "leave cluster.export out: all travel; with cluster.export=[] none"
        return Problem("cluster.export", repr(entry), instead)
    if not _NAME.fullmatch(entry):
        words = repr(entry.partition("=")[0]) + (" with a value" if "=" in entry else "")
        return Problem("cluster.export", words, "write names of variables; a value is set by cluster.env.NAME=VALUE")
    return None


def _line(line: str) -> Problem | None:
    if re.search(r"^\s*#SBATCH", line, re.MULTILINE):
        instead = "write cluster.sbatch.OPTION=VALUE; sbatch reads no options below the first command"
        return Problem("cluster.setup", repr(line), instead)
    if secrets := [name for name in _ASSIGNED.findall(line) if is_secret(name)]:
        words = f"a value for {secrets[0]}, which would stand in the script and in config.yaml"
        return Problem("cluster.setup", words, _by_name(secrets[0]))
    if "\0" in line or "\r" in line:
        return Problem("cluster.setup", repr(line), "write it without carriage returns and null characters")
    return None


def _by_name(name: str) -> str:
    return (
        f"put it into the environment that you type in (export {name}=…): that travels with the job, all of it "
        f"or what cluster.export={name} names"
    )
