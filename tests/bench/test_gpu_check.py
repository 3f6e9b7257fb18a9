from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psutil
import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "gpu_check"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.delenv("GPU_CHECK_STEPS", raising=False)
    yield
    for name in ("gpu_parts", "gpu_rank"):
        sys.modules.pop(name, None)


def script() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("gpu_check", str(SCRIPT))
    spec = importlib.util.spec_from_loader("gpu_check", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_check"] = module
    try:
        loader.exec_module(module)
    finally:
        del sys.modules["gpu_check"]
    return module


def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip().endswith("--device cpu --quick tries the script itself")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("scripts")
def test_calls_are_told_by_step() -> None:
    from gpu_rank import STEPS, per_step

    counts = {"cudaLaunchKernel": 40, "cuLaunchKernel": 20, "cudaStreamSynchronize": 60, "aten::add": 80, "x": 9}
    told = per_step(counts, seconds=STEPS * 0.025)
    assert (told["ms"], told["launches"], told["synchronisations"]) == (pytest.approx(25.0), 3.0, 3.0)
    assert (told["copies"], told["operators"]) == (0.0, 4.0)
    assert told["calls"] == {"cudaLaunchKernel": 2.0, "cuLaunchKernel": 1.0, "cudaStreamSynchronize": 3.0}


@pytest.mark.usefixtures("scripts")
def test_traces_are_equal_only_if_every_step_is() -> None:
    from gpu_parts import compared

    whole = [{"step": number, "loss": "0x1p0", "samples": [number]} for number in range(3)]
    assert compared(whole, whole)["is_equal"]
    assert not compared(whole, whole[:2])["is_equal"]
    assert not compared([], [])["is_equal"]
    other = [*whole[:2], {**whole[2], "loss": "0x1p1"}]
    assert (compared(whole, other)["differing"], compared(whole, other)["first"]) == (1, ["loss"])


@pytest.mark.usefixtures("scripts")
def test_a_part_that_fails_ends_no_other_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu_parts

    def fails(bench: gpu_parts.Bench) -> gpu_parts.Figures:
        raise gpu_parts.PartFailed("no such model")

    parts = {
        "a": (fails, 9),
        "b": (lambda bench: {"ours": {"ms": 1.5}}, 9),
        "c": (lambda bench: {"is_equal": False}, 9),
    }
    monkeypatch.setattr(gpu_parts, "PARTS", parts)
    results = script().check(tmp_path, "cpu", parts=["a", "b", "c"], minutes=1, is_quick=True)
    assert [(one.part, one.state) for one in results] == [("a", "failed"), ("b", "ok"), ("c", "differs")]
    text = (tmp_path / "gpu_check.txt").read_text()
    assert "no such model" in text
    assert "ours: ms" in text
    assert "torch" in text


@pytest.mark.usefixtures("scripts")
def test_a_program_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    from gpu_parts import Bench, PartFailed

    bench = Bench(tmp_path, "cpu", is_quick=True, deadline=0.0)
    child = "import os, subprocess; subprocess.Popen(['sleep', '600']); os.getpgid(0); import time; time.sleep(600)"
    process = bench.start("slow", [sys.executable, "-c", child])
    with pytest.raises(PartFailed, match="not done in its time"):
        bench.end("slow", process)
    deadline = time.monotonic() + 60
    while is_alive(process.pid) and time.monotonic() < deadline:  # whoever reaps orphans takes its time
        time.sleep(0.05)
    assert not is_alive(process.pid)


def is_alive(group: int) -> bool:
    """Whether a process of the group runs; what nobody has reaped yet does not."""
    members = psutil.process_iter(["pid", "status"])
    running = (one.info["pid"] for one in members if one.info["status"] != psutil.STATUS_ZOMBIE)
    return any(group_of(pid) == group for pid in running)


def group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
