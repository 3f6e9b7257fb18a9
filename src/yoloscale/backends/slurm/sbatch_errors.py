"""What sbatch said when it refused a job, as a problem for a person. Pure."""

from __future__ import annotations

import re

from yoloscale.errors import Problem

_PREFIX = re.compile(r"^sbatch: (error: |fatal: )?")
_SBATCH = "sbatch"
_NODES = "`sinfo -o '%P %D %c %m %G'` lists each partition's nodes with their CPUs, memory and GPUs"
_KNOWN = (  # sbatch's words, the key behind them, what to do
    ("there is no sbatch", _SBATCH, "type it on a login node; --dry-run prints the script, cluster=local trains here"),
    (
        "unable to contact slurm controller|connection refused|connection timed out|socket timed out|lookup failed"
        "|configuration source",
        _SBATCH,
        "nothing was submitted: SLURM is down, or is not set up on this machine; `sinfo` tells when it answers",
    ),
    ("no answer within", _SBATCH, "`squeue --me` tells whether the job was submitted all the same"),
    ("invalid partition|partition name", "cluster.partition", "`sinfo -s` lists the partitions"),
    ("account", "cluster.account", "`sacctmgr show associations user=$USER` lists your accounts and partitions"),
    ("qos", "cluster.qos", "`sacctmgr show associations user=$USER format=account,partition,qos` lists them"),
    ("feature specification|constraint", "cluster.constraint", "`sinfo -o '%P %f'` lists the features of nodes"),
    ("reservation", "cluster.reservation", "`scontrol show reservation` lists them"),
    ("dependency", "cluster.dependency", "write it as sbatch takes it, with ids of jobs: afterok:1234"),
    ("time limit|--time ", "cluster.time", "`sinfo -o '%P %l'` lists the limit of each partition"),
    ("invalid node name", "cluster.exclude", "`sinfo -N` lists the nodes"),
    ("--mem ", "cluster.mem", "write it as sbatch takes it, like 64G"),
    ("memory specification", "cluster.mem", _NODES),
    ("gres", "cluster.gpus_per_node", _NODES),
    ("--mail-type", "cluster.mail_type", "one or more of NONE, BEGIN, END, FAIL, REQUEUE, TIME_LIMIT, ALL"),
    ("option '|unrecognized option", "cluster.sbatch", "`sbatch --help` lists the options and their values"),
    ("node count|node configuration|processors requested|cpu count|partition configuration", "cluster.nodes", _NODES),
)


def problem_of(text: str) -> Problem:
    """One problem with all that SLURM said on one line, and the key it is about where that is known."""
    lines = [_PREFIX.sub("", line).strip() for line in text.splitlines()]
    words = "; ".join(dict.fromkeys(line for line in lines if line))
    for pattern, key, instead in _KNOWN:
        if re.search(pattern, words, re.IGNORECASE):
            return Problem(key, words, instead)
    return Problem(_SBATCH, words, "nothing was submitted: change the cluster.… settings, or try again")
