"""A verb that only tests know: its row, its schema and its program are all that it takes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from yoloscale.config.freeze import load
from yoloscale.config.kinds import KINDS
from yoloscale.config.schema import ClusterConfig, Config, Device, PathsConfig, RunConfig
from yoloscale.errors import ConfigError
from yoloscale.launch.here import run_in_background
from yoloscale.launch.run_folder import create_or_resume
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import nobody
from yoloscale.runs.status import read_result, status

TOY = Path(__file__).parent / "toy"
SOURCE = Path(__file__).parents[2] / "src"
WAIT_S = 300  # bounds a hang


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The config of a run of two ranks that add 30 and 12."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (TOY, SOURCE))))
    monkeypatch.syspath_prepend(str(TOY))
    import toy_kind

    monkeypatch.setitem(KINDS, "toy", toy_kind.TOY)
    cluster = ClusterConfig(procs_per_node=2, device=Device.cpu, backend="gloo", threads=1, max_restarts=0)
    paths = PathsConfig(runs=str(tmp_path))
    yield toy_kind.ToyConfig(name="sum", cluster=cluster, paths=paths, sum=toy_kind.SumConfig([30, 12]))
    sys.modules.pop("toy_kind")


def test_torchrun_starts_it_by_hand(toy: Any) -> None:
    taken = create_or_resume(toy, [])
    taken.release()
    frozen = load(taken.run.config)
    assert type(frozen) is type(toy)
    assert getattr(frozen, "sum", None) == toy.sum
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    words = [*torchrun, "-m", "yoloscale.worker", str(taken.run.path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert read_result(taken.run) == {"metrics": {"total": 42}}


def test_the_launcher_starts_it_and_its_status_is_read(toy: Any) -> None:
    taken = create_or_resume(toy, [])
    run_in_background(taken)
    found = wait_until_over(taken.run)
    assert (found.state, found.metrics) == ("finished", {"total": 42.0})


@pytest.mark.long
def test_what_fails_is_reported_as_of_every_kind(toy: Any) -> None:
    toy.sum.addends.pop()
    taken = create_or_resume(toy, [])
    run_in_background(taken)
    found = wait_until_over(taken.run)
    assert found.state == "failed"
    assert "rank 1" in str(found.error)
    assert "IndexError" in str(found.error)


def wait_until_over(run: RunDirectory) -> Any:
    deadline = time.monotonic() + WAIT_S
    while (found := status(run, nobody)).is_active:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def test_a_kind_of_another_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("kind: dream\nepochs: 3\n")
    with pytest.raises(ConfigError, match="'dream'") as raised:
        load(tmp_path / "config.yaml")
    assert raised.value.problems[0].key == "kind"


def test_the_rows_and_what_is_frozen_of_them(tmp_path: Path) -> None:
    from yoloscale.config.freeze import freeze

    for name, row in KINDS.items():
        schema = row.load_schema()
        assert schema.kind == name
        assert (Path(__file__).parents[2] / "configs" / f"{row.primary}.yaml").exists()
        freeze(schema(), tmp_path / "config.yaml")
        assert type(load(tmp_path / "config.yaml", of=RunConfig)) is schema
        has_kind = (tmp_path / "config.yaml").read_text().startswith(f"kind: {name}\n")
        assert has_kind == (schema is not Config), "a run of before there were kinds trains"
