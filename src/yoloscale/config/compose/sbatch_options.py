"""Options of sbatch, and what to write in place of each: for those who know the option and not the key. Pure."""

from __future__ import annotations

from yoloscale.config.schema.slurm import OPTIONS

_FILES = "leave it out: what the job says goes to job/ in the run's folder; project=FOLDER name=NAME say which that is"
_SHAPE = "write cluster.nodes=N cluster.procs_per_node=N: the one task on each node is the launcher of its ranks"
_GPUS = "write cluster.gpus_per_node=N, or TYPE:N: every node has the same number of ranks"
_NOT_HERE = "leave it out: it would change what sbatch does with the script, or says of it"
_COMMANDS = ("parsable", "wait", "wrap", "test-only", "quiet", "help", "usage", "version", "clusters")

# options that are not passed through, with what to write instead
INSTEAD = {
    **{option.replace("_", "-"): f"write cluster.{option}=…" for option in OPTIONS},
    **dict.fromkeys(("output", "error", "input", "open-mode"), _FILES),
    **dict.fromkeys(("ntasks", "ntasks-per-node", "ntasks-per-core", "ntasks-per-gpu", "ntasks-per-socket"), _SHAPE),
    **dict.fromkeys(("tasks-per-node", "nodes"), _SHAPE),
    **dict.fromkeys(("gpus", "gpus-per-task", "gpus-per-socket"), _GPUS),
    **dict.fromkeys(_COMMANDS, _NOT_HERE),
    **dict.fromkeys(("requeue", "no-requeue"), "write cluster.max_requeues=N; with 0 the job is not requeued"),
    "tres-per-task": "write cluster.gpus_per_node=N cluster.cpus_per_task=N: there is one task on each node",
    "array": "leave it out: `yoloscale train -m …` submits a sweep as an array; cluster.array_parallelism=N; "
    "of one prediction: cluster.array_size=N",
    "chdir": "leave it out, and type the command in that folder: the job runs where it is submitted",
    "job-name": "write name=…; the job has the name of the run",
    "signal": "write cluster.stop_before_s=SECONDS",
    "no-kill": "write cluster.min_nodes=N",
    "export": "write cluster.export=NAME,NAME",
    "export-file": "write cluster.env.NAME=VALUE, or cluster.export=NAME,NAME",
    **dict.fromkeys(
        ("container", "container-image"),
        "write cluster.container_image=…: the ranks run in it, and the script itself does not",
    ),
    "container-mounts": "write cluster.container_mounts=[HOST:CONTAINER]",
}
_OTHERS = (
    *("acctg-freq", "bb", "bbf", "begin", "cluster-constraint", "contiguous", "core-spec", "cores-per-socket"),
    *("cpu-freq", "cpus-per-gpu", "deadline", "delay-boot", "distribution", "extra", "extra-node-info"),
    *("get-user-env", "gpu-bind", "gpu-freq", "gres-flags", "hint", "hold", "kill-on-invalid-dep", "licenses"),
    *("mcs-label", "mem-bind", "mem-per-cpu", "mem-per-gpu", "mincpus", "network", "nice", "nodefile", "nodelist"),
    *("overcommit", "oversubscribe", "power", "prefer", "priority", "profile", "propagate", "reboot", "segment"),
    *("sockets-per-node", "spread-job", "switches", "thread-spec", "threads-per-core", "time-min", "tmp"),
    *("tres-bind", "use-min-nodes", "wait-all-nodes", "wckey"),
)
_SHORT = {
    **{"A": "account", "a": "array", "C": "constraint", "c": "cpus-per-task", "D": "chdir", "d": "dependency"},
    **{"e": "error", "F": "nodefile", "G": "gpus", "H": "hold", "i": "input", "J": "job-name", "L": "licenses"},
    **{"m": "distribution", "N": "nodes", "n": "ntasks", "o": "output", "p": "partition", "q": "qos"},
    **{"t": "time", "w": "nodelist", "x": "exclude"},
}


def instead_of(option: str) -> str | None:
    """What to write for an option of sbatch, by its long name with `_` or `-`, or by its letter; None for no option."""
    name = _SHORT.get(option, option.replace("_", "-"))
    if name == "gres":
        return "write cluster.gpus_per_node=N, or TYPE:N; of other resources: cluster.sbatch.gres=…"
    if name in _OTHERS:
        return f"write cluster.sbatch.{name.replace('-', '_')}=…"
    return INSTEAD.get(name) if name not in _COMMANDS else None
