"""A SLURM job that makes no sense is told before sbatch is asked."""

from __future__ import annotations

from typing import Any

import pytest

from yoloscale.backends.check import validate
from yoloscale.config.resolve import resolve
from yoloscale.config.schema import ClusterConfig, Config, Device, ModelConfig, Task
from yoloscale.config.schema.job import ContainerRuntime
from yoloscale.config.schema.slurm import SlurmConfig, gpus_of
from yoloscale.system.machine import Machine

LOGIN_NODE = Machine(gpu_count=0, cpus=4, has_bf16=True)
MODEL = ModelConfig(task=Task.detect, architecture="yolo26n.yaml")


def problems(launcher: str = "slurm", **cluster: Any) -> dict[str, str]:
    made = Config(model=MODEL, batch=16, cluster=ClusterConfig(launcher=launcher, **cluster))
    config = resolve(made, LOGIN_NODE)
    return {problem.key: f"{problem.found} | {problem.instead}" for problem in validate(config, LOGIN_NODE)}


@pytest.mark.parametrize(
    "cluster",
    [
        {},
        {"gpus_per_node": "8"},
        {"gpus_per_node": "a100:8", "procs_per_node": 4},
        {"gpus_per_node": "1g.10gb:2"},
        {"sbatch": {"gres": "gpu:a100:4(S:0-1),nvme:1"}, "device": Device.cuda, "procs_per_node": 4},
        {"exclusive": "true", "device": Device.cuda, "procs_per_node": 4},
        {"sbatch": {"nodelist": "node1", "mem_per_cpu": "2G", "nice": 3, "hold": True, "wckey": None}},
        {"sbatch": {"time-min": "10", "cpus-per-gpu": 4, "wait-all-nodes": 1, "gpu-bind": "none"}},
        {"env": {"NCCL_DEBUG": "INFO", "TOKENIZERS_PARALLELISM": "false", "NASTY": "a\n$(touch x)", "K": "KEY"}},
        {"export": []},
        {"export": ["WANDB_API_KEY", "_x1"]},
        {"setup": ["module load cuda", "export WANDB_API_KEY=$(cat ~/.key)", "for x in 1 2; do\n  echo $x\ndone"]},
        {"exclusive": "mcs", "device": Device.cpu, "mail_type": "END", "mail_user": "a@b.org", "comment": "it's $(x)"},
        {"container_image": "i", "container_mounts": ["/a:/b", "/a b:/c:ro"], "container_python": "p"},
    ],
)
def test_this_can_be_submitted(cluster: dict[str, Any]) -> None:
    assert problems(**cluster) == {}


@pytest.mark.parametrize(
    ("cluster", "key", "hint"),
    [
        ({"gpus_per_node": "eight"}, "cluster.gpus_per_node", "TYPE:COUNT"),
        ({"gpus_per_node": "0"}, "cluster.gpus_per_node", "above 0"),
        ({"gpus_per_node": "a100:2,h100:2"}, "cluster.gpus_per_node", "TYPE:COUNT"),
        ({"gpus_per_node": "²"}, "cluster.gpus_per_node", "above 0"),
        ({"gpus_per_node": "gpu:4"}, "cluster.gpus_per_node", "write cluster.gpus_per_node=4"),
        ({"gpus_per_node": "gres:gpu:a100:4"}, "cluster.gpus_per_node", "write cluster.gpus_per_node=a100:4"),
        ({"gpus_per_node": "2", "sbatch": {"gres": "gpu:4"}}, "cluster.sbatch.gres", "leave one of them out"),
        ({"device": Device.cuda, "procs_per_node": 2}, "cluster.device", "cluster.gpus_per_node=2"),
        ({"device": Device.cpu, "gpus_per_node": "2"}, "cluster.gpus_per_node", "device=cuda"),
        ({"device": Device.cpu, "sbatch": {"gres": "gpu:2"}}, "cluster.sbatch.gres", "device=cuda"),
        ({"procs_per_node": 4, "gpus_per_node": "2"}, "cluster.procs_per_node", "cluster.procs_per_node=2"),
        ({"device": Device.cuda, "gpus": [0, 1]}, "cluster.gpus", "cluster.gpus_per_node=2"),
        ({"device": Device.cuda, "gpus": [4]}, "cluster.gpus", "cluster.gpus_per_node=4, if that is how many"),
        ({"rdzv_endpoint": "host:1"}, "cluster.rdzv_endpoint", "leave it out"),
        ({"nodes": 2, "rdzv_endpoint": "host:1"}, "cluster.rdzv_endpoint", "leave it out"),
        ({"partition": "a\nb"}, "cluster.partition", "one line"),
        ({"comment": "a\rb"}, "cluster.comment", "one line"),
        ({"account": ""}, "cluster.account", "leave it out"),
        ({"exclusive": "true"}, "cluster.device", "device=cuda cluster.procs_per_node=GPUS, or device=cpu"),
        ({"exclusive": "yes", "device": Device.cpu}, "cluster.exclusive", "true, false, user"),
        ({"mail_user": "a@b.org"}, "cluster.mail_user", "cluster.mail_type"),
        ({"mem": "8G", "sbatch": {"mem_per_gpu": "4G"}}, "cluster.mem", "cluster.mem=null"),
        ({"mem": "8G", "sbatch": {"mem-per-cpu": "4G"}}, "cluster.mem", "cluster.mem=null"),
        ({"python": "~/venv/bin/python"}, "cluster.python", "whole path"),
        ({"time": "soon"}, "cluster.time", "minutes"),
        ({"cpus_per_task": 0}, "cluster.cpus_per_task", "at least 1"),
        ({"container_runtime": ContainerRuntime.apptainer}, "cluster.container_runtime", "container_image"),
        ({"container_mounts": ["/a:/b"]}, "cluster.container_mounts", "container_image"),
        ({"container_python": "python"}, "cluster.container_python", "container_image"),
        ({"container_image": "i", "container_mounts": ["a:/b"]}, "cluster.container_mounts", "HOST:CONTAINER"),
        ({"container_image": "i", "container_mounts": ["/a"]}, "cluster.container_mounts", "HOST:CONTAINER"),
        ({"container_image": "i", "container_mounts": ["/a:/b,/c:/d"]}, "cluster.container_mounts", "HOST:CONTAINER"),
        ({"sbatch": {"array": "0-3"}}, "cluster.sbatch.array", "train -m"),
        ({"sbatch": {"output": "x"}}, "cluster.sbatch.output", "job/"),
        ({"sbatch": {"chdir": "x"}}, "cluster.sbatch.chdir", "type the command in that folder"),
        ({"sbatch": {"tres_per_task": "gres/gpu:1"}}, "cluster.sbatch.tres_per_task", "cluster.gpus_per_node=N"),
        ({"sbatch": {"container_image": "x"}}, "cluster.sbatch.container_image", "cluster.container_image="),
        ({"sbatch": {"job_name": "x"}}, "cluster.sbatch.job_name", "name="),
        ({"sbatch": {"partition": "x"}}, "cluster.sbatch.partition", "cluster.partition="),
        ({"sbatch": {"gpus_per_node": 8}}, "cluster.sbatch.gpus_per_node", "cluster.gpus_per_node="),
        ({"sbatch": {"gpus": 8}}, "cluster.sbatch.gpus", "cluster.gpus_per_node="),
        ({"sbatch": {"time": "5"}}, "cluster.sbatch.time", "cluster.time="),
        ({"sbatch": {"no-requeue": True}}, "cluster.sbatch.no-requeue", "max_requeues"),
        ({"sbatch": {"wrap": "touch x"}}, "cluster.sbatch.wrap", "leave it out"),
        ({"sbatch": {"arr": "0-3"}}, "cluster.sbatch.arr", "whole name"),
        ({"sbatch": {"N": "3"}}, "cluster.sbatch.N", "without dashes"),
        ({"sbatch": {"--hold": True}}, "cluster.sbatch.--hold", "without dashes"),
        ({"sbatch": {"a b": "3"}}, "cluster.sbatch.a b", "without dashes"),
        ({"sbatch": {"nice": [1]}}, "cluster.sbatch.nice", "one value"),
        ({"sbatch": {"nice": {"a": 1}}}, "cluster.sbatch.nice", "one value"),
        ({"sbatch": {"wckey": "a\n#SBATCH --wrap=x"}}, "cluster.sbatch.wckey", "one line"),
        ({"sbatch": {"mem_per_cpu": 1, "mem-per-cpu": 2}}, "cluster.sbatch.mem-per-cpu", "once"),
        ({"env": {"1A": "x"}}, "cluster.env.1A", "letters"),
        ({"env": {"A=B; touch x": "x"}}, "cluster.env.A=B; touch x", "letters"),
        ({"env": {"SLURM_NTASKS": "1"}}, "cluster.env.SLURM_NTASKS", "SLURM sets it"),
        ({"env": {"RANK": "1"}}, "cluster.env.RANK", "launcher"),
        ({"env": {"OMP_NUM_THREADS": "1"}}, "cluster.env.OMP_NUM_THREADS", "cluster.threads"),
        ({"env": {"CUDA_VISIBLE_DEVICES": "1"}}, "cluster.env.CUDA_VISIBLE_DEVICES", "gpus_per_node"),
        ({"env": {"UID": "1"}}, "cluster.env.UID", "shell"),
        ({"env": {"YOLOSCALE_FIRST_POINT": "1:2"}}, "cluster.env.YOLOSCALE_FIRST_POINT", "script sets it"),
        ({"env": {"YOLOSCALE_RUN_ID": "1"}}, "cluster.env.YOLOSCALE_RUN_ID", "script sets it"),
        ({"env": {"folder": "1"}}, "cluster.env.folder", "script"),
        ({"export": ["A=3"]}, "cluster.export", "cluster.env.NAME"),
        ({"export": ["ALL"]}, "cluster.export", "leave cluster.export out"),
        ({"export": ["A B"]}, "cluster.export", "names of variables"),
        ({"setup": ["#SBATCH --hold"]}, "cluster.setup", "cluster.sbatch"),
        ({"setup": ["echo a\r"]}, "cluster.setup", "carriage returns"),
    ],
)
def test_this_cannot(cluster: dict[str, Any], key: str, hint: str) -> None:
    found = problems(**cluster)
    assert list(found) == [key]
    assert hint in found[key]


@pytest.mark.parametrize(
    "cluster",
    [
        {"env": {name: "hunter2"}}
        for name in ("WANDB_API_KEY", "HF_TOKEN", "wandb_apikey", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "MY_SECRET")
    ]
    + [
        {"env": {"HTTPS_PROXY": "http://ada:hunter2@proxy:80"}},
        {"setup": ["export WANDB_API_KEY=hunter2"]},
        {"setup": ["cd x; HF_TOKEN='hunter2' python -m y"]},
        {"export": ["WANDB_API_KEY=hunter2"]},
    ],
)
def test_a_secret_is_refused_and_not_repeated(cluster: dict[str, Any]) -> None:
    (told,) = problems(**cluster).values()
    assert "hunter2" not in told
    assert "export" in told or "names of variables" in told


def test_all_problems_come_at_once() -> None:
    found = problems(partition="a\nb", env={"RANK": "1"}, sbatch={"array": "1", "wait": True}, rdzv_endpoint="a:1")
    assert len(found) == 5


@pytest.mark.parametrize(
    ("cluster", "key"),
    [
        ({"partition": "gpu"}, "cluster.partition"),
        ({"env": {"A_KEY": "hunter2"}}, "cluster.env"),
        ({"max_requeues": 3}, "cluster.max_requeues"),
    ],
)
def test_settings_of_slurm_without_slurm_are_told(cluster: dict[str, Any], key: str) -> None:
    found = problems("local", **cluster)
    assert list(found) == [key]
    assert "cluster=slurm" in found[key]
    assert "hunter2" not in found[key]


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"gpus_per_node": "8"}, 8),
        ({"gpus_per_node": "a100:4"}, 4),
        ({"gpus_per_node": "a100"}, None),
        ({"sbatch": {"gres": "gpu"}}, 1),
        ({"sbatch": {"gres": "gpu:a100"}}, 1),
        ({"sbatch": {"gres": "gpu:4"}}, 4),
        ({"sbatch": {"gres": "gres/gpu:a100:2(IDX:0-1),gpu:v100:1,gpus:9"}}, 3),
        ({"sbatch": {"gres": "nvme:100"}}, None),
        ({}, None),
    ],
)
def test_how_many_gpus_a_node_has(asked: dict[str, Any], count: int | None) -> None:
    assert gpus_of(SlurmConfig(**asked)) == count
