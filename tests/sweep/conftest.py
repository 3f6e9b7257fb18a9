from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from yoloscale.sweep.configure import ConfiguredSweep, configure_all
from yoloscale.sweep.directory import TakenSweep
from yoloscale.sweep.freeze import freeze_all
from yoloscale.sweep.grammar.points import expand
from yoloscale.system.machine import Machine

TWO_CPUS = Machine(gpu_count=0, cpus=2, has_bf16=True)

Configured = Callable[..., ConfiguredSweep]
Frozen = Callable[..., TakenSweep]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def configured() -> Configured:
    """`configured("lr0=0.1,0.2", …)`: the sweep that these words stand for, on a machine without GPUs."""
    return lambda *tokens, machine=TWO_CPUS: configure_all(expand(tokens), machine)


@pytest.fixture
def frozen(configured: Configured) -> Frozen:
    """`frozen("name=s", "lr0=0.1,0.2")`: the sweep frozen, nobody has the lock any more."""

    def freeze(*tokens: str, machine: Machine = TWO_CPUS) -> TakenSweep:
        with freeze_all(configured(*tokens, machine=machine), tokens) as taken:
            return taken

    return freeze
