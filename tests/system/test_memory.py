"""The memory that a job may still take, from files as kernels write them and from a real control group where one can
be made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from yoloscale.system import memory

GIB = 2**30
V1 = Path("/sys/fs/cgroup/memory")


def free_of_groups(tmp_path: Path, line: str, files: dict[str, str]) -> list[float]:
    """GiB that each limited group leaves."""
    (tmp_path / "cgroup").write_text(line)
    for name, content in files.items():
        path = tmp_path / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    rooms = memory._groups(tmp_path / "cgroup", tmp_path / "sys")
    return [room.free_bytes / GIB for room in rooms]


def test_a_v2_group_and_its_parents(tmp_path: Path) -> None:
    files = {
        "job/memory.max": f"{16 * GIB}\n",
        "job/memory.current": f"{10 * GIB}\n",
        "job/memory.stat": f"anon {GIB}\nfile {8 * GIB}\nshmem {5 * GIB}\ninactive_file {2 * GIB}\nactive_file {GIB}\n",
        "job/step/memory.max": "max\n",
        "job/step/memory.current": f"{9 * GIB}\n",
        "memory.stat": "anon 1\n",
    }
    assert free_of_groups(tmp_path, "0::/job/step\n", files) == [9.0]  # not the 5 GiB of /dev/shm


def test_a_group_that_is_slowed_down_before_its_limit(tmp_path: Path) -> None:
    files = {"memory.max": f"{4 * GIB}\n", "memory.high": f"{3 * GIB}\n", "memory.current": f"{GIB}\n"}
    assert free_of_groups(tmp_path, "0::/a/container/sees/its/group/at/the/root\n", files) == [2.0]


def test_a_group_above_its_limit_leaves_nothing(tmp_path: Path) -> None:
    files = {"memory.max": f"{GIB}\n", "memory.current": f"{2 * GIB}\n"}
    assert free_of_groups(tmp_path, "0::/\n", files) == [0.0]


def test_a_v1_group(tmp_path: Path) -> None:
    files = {
        "memory/job/memory.limit_in_bytes": f"{8 * GIB}\n",
        "memory/job/memory.usage_in_bytes": f"{6 * GIB}\n",
        "memory/job/memory.stat": f"inactive_file 0\ntotal_inactive_file {GIB}\ntotal_active_file {2 * GIB}\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.usage_in_bytes": f"{50 * GIB}\n",
    }
    assert free_of_groups(tmp_path, "4:memory:/job\n1:cpu:/other\n", files) == [5.0]


def test_without_a_limit_it_is_the_machines(tmp_path: Path) -> None:
    assert free_of_groups(tmp_path, "0::/\n", {"memory.max": "max\n", "memory.current": "5\n"}) == []
    assert 0 < memory.available().free_bytes <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("given", "gib"),
    [
        ({"SLURM_MEM_PER_NODE": "65536"}, 64),
        ({"SLURM_MEM_PER_CPU": "2048", "SLURM_CPUS_ON_NODE": "16"}, 32),
        ({"SLURM_MEM_PER_GPU": "10240", "SLURM_GPUS_ON_NODE": "4"}, 40),
        ({"SLURM_MEM_PER_NODE": "0"}, None),  # the whole node
        ({}, None),
    ],
)
def test_what_slurm_gave_the_job(given: dict[str, str], gib: int | None) -> None:
    assert memory.job_limit(given) == (None if gib is None else gib * GIB)


def test_what_the_job_holds_is_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"SLURM_JOB_ID": "yoloscale-test", "PATH": "/usr/bin"}
    holding = [sys.executable, "-c", "held = bytearray(64 << 20); print(flush=True); input()"]
    with subprocess.Popen(holding, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (room,) = memory._slurms({**environment, "SLURM_MEM_PER_NODE": "128"})
        process.communicate(b"\n")
    assert 0 < room.free_bytes < 64 << 20
    assert room.limit == "the job's --mem of 0.1 GiB"


@pytest.fixture
def group() -> Iterator[Path]:
    """A real group of 512 MiB."""
    folder = V1 / "yoloscale-test"
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text(str(512 << 20))
    except OSError as error:
        pytest.skip(f"no control group of one's own can be made here: {error}")
    yield folder
    folder.rmdir()


def test_in_a_real_group_shared_memory_counts(group: Path) -> None:
    program = f"""
import os, pathlib
pathlib.Path({str(group / "cgroup.procs")!r}).write_text(str(os.getpid()))
from yoloscale.system.memory import available
before = available()
print(before.limit)
path = pathlib.Path("/dev/shm/yoloscale-test-memory")
try:
    path.write_bytes(bytes(100 << 20))
    print((before.free_bytes - available().free_bytes) >> 20)
finally:
    path.unlink()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    limit, taken = done.stdout.splitlines()
    assert limit == "the control group's limit of 0.5 GiB"
    assert 95 <= int(taken) <= 110
