from __future__ import annotations

import os
from pathlib import Path

import pytest

from yoloscale.system import cpus, machine


def cgroup(tmp_path: Path, line: str, files: dict[str, str]) -> int | None:
    (tmp_path / "cgroup").write_text(line)
    for name, content in files.items():
        path = tmp_path / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return cpus._cgroup_quota(tmp_path / "cgroup", tmp_path / "sys")


def test_the_tightest_quota_of_a_v2_group_and_its_parents_counts(tmp_path: Path) -> None:
    files = {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "250000 100000\n", "cpu.max": "800000 100000\n"}
    assert cgroup(tmp_path, "0::/a/b\n", files) == 3


def test_a_container_sees_its_own_group_at_the_root(tmp_path: Path) -> None:
    assert cgroup(tmp_path, "0::/not/mounted/here\n", {"cpu.max": "200000 100000"}) == 2


def test_a_v1_group(tmp_path: Path) -> None:
    files = {"cpu,cpuacct/job/cpu.cfs_quota_us": "150000\n", "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n"}
    files |= {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}
    assert cgroup(tmp_path, "4:cpu,cpuacct:/job\n3:memory:/other\n", files) == 2


def test_no_quota(tmp_path: Path) -> None:
    assert cgroup(tmp_path, "0::/\n", {"cpu.max": "max 100000\n"}) is None
    assert cpus._cgroup_quota(tmp_path / "absent", tmp_path) is None


def test_affinity_and_slurm_limit_the_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    assert 1 <= cpus.available() <= len(os.sched_getaffinity(0))
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert cpus.available() == 1


@pytest.mark.parametrize(
    ("chosen", "seen"),
    [(None, 4), ("", 0), ("-1", 0), ("0", 1), ("2,3", 2), ("0,9,1", 1), ("GPU-ab,GPU-cd", 2), ("MIG-x", 1)],
)
def test_visible_gpus(chosen: str | None, seen: int) -> None:
    assert machine._visible(4, chosen) == seen


def test_this_machine_has_a_cpu() -> None:
    assert machine.this_machine().cpus >= 1
