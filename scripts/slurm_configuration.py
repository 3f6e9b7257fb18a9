"""What a throwaway cluster consists of, and the files that its daemons read."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from slurm_machines import CONTROLLER, FREEZER

STATE = "slurm-cluster.json"


@dataclass(frozen=True)
class Cluster:
    """What was asked for, and what was found for it: the number of its network, and how jobs are tracked."""

    folder: Path
    node_count: int
    cpus: int
    gpus: int
    accounting: bool
    settings: tuple[str, ...]
    number: int = 0
    proctrack: str = ""

    @property
    def nodes(self) -> list[str]:
        return [f"node{index}" for index in range(1, self.node_count + 1)]

    def address(self, name: str) -> str:
        return f"198.19.{self.number}.{2 if name == CONTROLLER else 10 + int(name.removeprefix('node'))}"

    def save(self) -> None:
        part = self.folder / f"{STATE}.part"
        part.write_text(json.dumps({**asdict(self), "folder": str(self.folder)}))
        part.replace(self.folder / STATE)

    @staticmethod
    def load(folder: Path) -> Cluster | None:
        if not (folder / STATE).exists():
            return None
        state = json.loads((folder / STATE).read_text())
        return Cluster(**{**state, "folder": folder, "settings": tuple(state["settings"])})


def slurm_conf(cluster: Cluster) -> str:
    """slurm.conf; a setting of the person's own takes the place of the one here."""
    folder = cluster.folder
    defaults = (
        f"ClusterName=throwaway SlurmctldHost={CONTROLLER}({cluster.address(CONTROLLER)}) SlurmUser=root",
        f"StateSaveLocation={folder}/state SlurmdSpoolDir={folder}/nodes/%n",
        f"SlurmctldPidFile={folder}/run/slurmctld.pid SlurmdPidFile={folder}/run/slurmd-%n.pid",
        f"SlurmctldLogFile={folder}/log/slurmctld.log SlurmdLogFile={folder}/log/slurmd-%n.log",
        # a requeued job is held back for a second more than a credential lives: 121 s by default
        f"AuthInfo=socket={folder}/munge/socket,cred_expire=5",
        "SlurmdTimeout=10 KillWait=30",  # 300 and 30 by default: ranks save after scancel, on a busy machine, too
        "UnkillableStepTimeout=120",  # a step that ends while there is no controller tries again after a minute
        "MinJobAge=86400",  # squeue -t all tells of jobs that have ended
        f"JobCompType=jobcomp/filetxt JobCompLoc={folder}/log/jobs.txt JobAcctGatherType=jobacct_gather/linux",
        f"ProctrackType=proctrack/{cluster.proctrack} TaskPlugin=task/none MpiDefault=none MailProg=/bin/true",
        "SlurmdParameters=config_overrides ReturnToService=1",  # more CPUs and memory than this machine has
        "SelectType=select/cons_tres SelectTypeParameters=CR_Core_Memory GresTypes=gpu",
        "DefMemPerCPU=1000",  # without it a job takes all memory of its nodes
        "EnforcePartLimits=ALL JobRequeue=1 PreemptType=preempt/partition_prio PreemptMode=REQUEUE",
        "PriorityType=priority/basic SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0",
        # sacct and sacctmgr look for munge's socket in AccountingStoragePass, not in AuthInfo
        f"AccountingStorageType=accounting_storage/slurmdbd AccountingStoragePass={folder}/munge/socket"
        f" AccountingStorageHost={cluster.address(CONTROLLER)} AccountingStorageTRES=gres/gpu"
        if cluster.accounting
        else "AccountingStorageType=accounting_storage/none",
    )
    own = {setting.partition("=")[0].casefold() for setting in cluster.settings}
    lines = [line for line in " ".join(defaults).split() if line.partition("=")[0].casefold() not in own]
    shape = f"CPUs={cluster.cpus} Sockets=1 CoresPerSocket={cluster.cpus} ThreadsPerCore=1 RealMemory=64000"
    gpus = f" Gres=gpu:{cluster.gpus}" if cluster.gpus else ""
    nodes = [f"NodeName={name} NodeAddr={cluster.address(name)} {shape}{gpus}" for name in cluster.nodes]
    partitions = [
        "PartitionName=main Nodes=ALL Default=YES DefaultTime=10 PriorityTier=10 PreemptMode=OFF",
        "PartitionName=low Nodes=ALL DefaultTime=10 PriorityTier=1 PreemptMode=REQUEUE GraceTime=10",
    ]
    return "\n".join([*lines, *cluster.settings, *nodes, *partitions, ""])


def write_files(cluster: Cluster) -> None:
    """All that the daemons read."""
    folder, etc, gpus = cluster.folder, cluster.folder / "etc", cluster.gpus
    hosts = "".join(f"{cluster.address(name)} {name}\n" for name in (CONTROLLER, *cluster.nodes))
    devices = f"NodeName=node[1-{cluster.node_count}] Name=gpu File={etc}/gpu[0-{gpus - 1}]\n" if gpus else ""
    # the database is in the controller's network, and lets anybody in who is there
    slurmdbd = (
        f"DbdHost={CONTROLLER} SlurmUser=root AuthType=auth/munge AuthInfo=socket={folder}/munge/socket"
        f" LogFile={folder}/log/slurmdbd.log PidFile={folder}/run/slurmdbd.pid"
        " StorageType=accounting_storage/mysql StorageHost=127.0.0.1 StorageUser=slurm StoragePass=none "
    )
    cgroup = f"CgroupPlugin=cgroup/v1\nCgroupMountpoint={FREEZER.parent}\nCgroupAutomount=no\n"
    contents = {"slurm.conf": slurm_conf(cluster), "hosts": f"127.0.0.1 localhost\n{hosts}", "gres.conf": devices}
    contents |= {"slurmdbd.conf": slurmdbd.replace(" ", "\n")} if cluster.accounting else {}
    contents |= {"cgroup.conf": cgroup} if cluster.proctrack == "cgroup" else {}
    for name, content in contents.items():
        (etc / name).touch(mode=0o600 if name == "slurmdbd.conf" else 0o644)
        (etc / name).write_text(content)
    for index in range(gpus):  # what slurmd takes for a GPU has to be a device; nobody opens it
        os.mknod(etc / f"gpu{index}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (folder / "munge" / "key").touch(mode=0o600)
    (folder / "munge" / "key").write_bytes(os.urandom(128))
