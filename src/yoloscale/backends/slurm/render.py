"""The batch script. Pure but for reading its template: the same job gives the same bytes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from yoloscale.backends.base import JobRequest
from yoloscale.backends.slurm.job import warning_s
from yoloscale.config.locations import templates_folder
from yoloscale.config.schema import ClusterConfig, Device
from yoloscale.config.schema.slurm import OPTIONS, gpus_of, is_exclusive, passed_through
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.variables import CACHE, FIRST_POINT

TEMPLATE = "job.sbatch.j2"
_OUTPUT, _OUTPUT_OF_ELEMENT = "slurm-%j.out", "slurm-%A_%a.out"  # as runs/jobs.py looks for it
_PLAIN = re.compile(r"[\w@%+=:,./\[\]-]+", re.ASCII)
_NOT_PLAIN = re.compile(r"[\x00-\x1f\x7f'$`]")
_ESCAPED = re.compile(r"[\x00-\x1f\x7f'\\]")
LAST_TASKS_S = 20  # from the end of one node's launcher to that of all: one on a node that is gone never says so
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "'": "\\'", "\\": "\\\\"}
_NOT_IN_OUTPUT = re.compile(r"\\|%\d*[%AJNajnstux]")  # SLURM replaces them in the whole path of a job's output
_NOT_IN_MOUNT = re.compile(r"[:,\n]")  # they end a path in lists of mounts


class _TemplateJob(JobRequest):
    """A job as templates know it."""

    @property
    def output(self) -> str:
        """What SLURM writes the words of script and srun to, in the folder that sbatch is started in."""
        return _OUTPUT if self.array is None else _OUTPUT_OF_ELEMENT


def script_of(job: JobRequest) -> bytes:
    """What sbatch gets and --dry-run prints. Raises ConfigError where the template or a folder does not do."""
    return render(job).encode("utf-8", "surrogateescape")  # a path may hold any bytes


def render(job: JobRequest) -> str:
    """The script as text. Raises ConfigError where the template or a folder does not do."""
    cluster = job.cluster
    if problems := _folder_problems(job):
        raise ConfigError(problems)
    path = job.working_folder / cluster.template if cluster.template is not None else templates_folder() / TEMPLATE
    environment = Environment(
        loader=FileSystemLoader(path.parent),
        undefined=StrictUndefined,
        autoescape=False,  # it is a shell script; every value goes through `sh`
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["sh"] = shell_word
    try:
        script = environment.get_template(path.name).render(
            flags=[flag(name, value) for name, value in options(job)],
            srun=srun_flags(cluster),
            whole_gpus=_unasked_gpus(cluster),
            job=_TemplateJob(**vars(job)),
            cluster=cluster,
            env=sorted(cluster.env.items()),
            container=cluster.container_runtime.value if cluster.container_image is not None else None,
            in_container=sorted({CACHE, *cluster.env, *(cluster.export or ())}),
            on_gpus=cluster.device is Device.cuda,
        )
    except (TemplateError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(_wrong_template(path, error)) from None
    if job.first and FIRST_POINT not in script:
        words = "it has nothing of job.first, and the site takes the points of this sweep in several arrays only"
        instead = f"write the lines about {FIRST_POINT} into it, as they stand in {templates_folder() / TEMPLATE}"
        raise ConfigError(Problem("cluster.template", words, instead))
    return script


def options(job: JobRequest) -> list[tuple[str, Any]]:
    """sbatch's options by their long names, sorted; True stands for one without a value."""
    cluster = job.cluster
    values = {name.replace("_", "-"): getattr(cluster, name) for name in OPTIONS}
    values["exclusive"] = cluster.exclusive if is_exclusive(cluster) else None
    if is_exclusive(cluster) and str(cluster.exclusive).lower() == "true":
        values["exclusive"] = True
    values["time"] = cluster.time.strip() if cluster.time is not None else None
    values |= {"job-name": job.name, "nodes": cluster.nodes, "ntasks-per-node": 1, "open-mode": "append"}
    values |= {"output": _TemplateJob(**vars(job)).output, "signal": f"USR1@{warning_s(cluster)}"}
    values["requeue" if cluster.max_requeues > 0 else "no-requeue"] = True
    if cluster.export is not None:
        values["export"] = ",".join(cluster.export) or "NONE"
    if job.array is not None:
        limit = cluster.array_parallelism
        values["array"] = job.array + (f"%{limit}" if limit is not None else "")
    if _goes_on_with_fewer(cluster):
        values["no-kill"] = True
    values |= passed_through(cluster)
    return sorted((name, value) for name, value in values.items() if value is not None)


def flag(name: str, value: Any) -> str:
    """One option as it stands after `#SBATCH `, which sbatch splits into words at white space outside of quotes."""
    if value is True:
        return f"--{name}"
    text = str(value)
    if not _PLAIN.fullmatch(text):
        text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"--{name}={text}"


def shell_word(value: object) -> str:
    """A value as one word of bash on one line, whatever it holds."""
    text = str(value)
    if not _NOT_PLAIN.search(text):
        return shlex.quote(text)
    return "$'" + _ESCAPED.sub(lambda match: _ESCAPES.get(match[0], f"\\x{ord(match[0]):02x}"), text) + "'"


def srun_flags(cluster: ClusterConfig) -> list[str]:
    """One task on each node, with all that the job asked for there, and its whole environment."""
    flags = [f"--nodes={cluster.nodes}", f"--ntasks={cluster.nodes}", "--ntasks-per-node=1", "--export=ALL"]
    if _goes_on_with_fewer(cluster):
        flags += ["--kill-on-bad-exit=0", "--no-kill"]
    else:
        flags += ["--kill-on-bad-exit=1", f"--wait={LAST_TASKS_S}"]
    if cluster.cpus_per_task is not None:
        flags.append(f"--cpus-per-task={cluster.cpus_per_task}")  # srun does not inherit it
    return flags


def _unasked_gpus(cluster: ClusterConfig) -> int | None:
    """GPUs of each node that a step of a job with whole nodes has to ask for; None if the job has asked by itself."""
    return cluster.procs_per_node if cluster.device is Device.cuda and gpus_of(cluster) is None else None


def _goes_on_with_fewer(cluster: ClusterConfig) -> bool:
    return cluster.min_nodes is not None and cluster.min_nodes < cluster.nodes


def unwritable(folder: Path) -> str | None:
    """What keeps SLURM from writing the output of a job to a folder: it would be replaced in the path."""
    match = _NOT_IN_OUTPUT.search(f"{folder}/")
    return match[0] if match else None


def _folder_problems(job: JobRequest) -> list[Problem]:
    """Folders that SLURM cannot write the job's output to, or that a container cannot see under their own path."""
    problems = []
    if (mark := unwritable(job.folder)) is not None:
        instead = f"choose a name and a folder without {mark!r}, which SLURM takes for something else in a file name"
        problems.append(Problem("paths.runs", f"{str(job.folder)!r} cannot hold the output of a job", instead))
    if job.cluster.container_image is None:
        return problems
    folders = {"the working folder": job.working_folder, "paths.runs": job.folder, "paths.cache": job.cache}
    instead = "use a folder without commas, colons and line breaks"
    return problems + [
        Problem(key, f"{str(path)!r} cannot be mounted into a container", instead)
        for key, path in folders.items()
        if _NOT_IN_MOUNT.search(str(path)) or path == Path("/")
    ]


def _wrong_template(path: Path, error: Exception) -> Problem:
    line = getattr(error, "lineno", None)
    words = "there is no such file" if type(error).__name__ == "TemplateNotFound" else str(error)
    where = f"{path}, line {line}" if line is not None else str(path)
    instead = f"mend it, or leave cluster.template out; {templates_folder() / TEMPLATE} shows what a template may use"
    return Problem("cluster.template", f"{where}: {words}", instead)
