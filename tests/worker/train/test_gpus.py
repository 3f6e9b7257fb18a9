"""What is told of the GPUs, with a stand-in for the driver."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from yoloscale.worker.train.gpus import GIB, GpuWatch, Reading, summary


class NVMLError(Exception):
    pass


def driver(**answers: Any) -> Any:
    def missing(*_: Any) -> Any:
        raise NVMLError("Not Supported")

    names = ("UtilizationRates", "Temperature", "TotalEccErrors")
    asked = {f"nvmlDeviceGet{name}": answers.get(name, missing) for name in names}
    return SimpleNamespace(
        NVMLError=NVMLError,
        NVML_TEMPERATURE_GPU=0,
        NVML_MEMORY_ERROR_TYPE_UNCORRECTED=1,
        NVML_VOLATILE_ECC=0,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda name: name,
        **asked,
    )


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="12-ab"))
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 3 * GIB)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    return torch.device("cuda", 0)


def until_sampled(watch: GpuWatch, asked: list[str]) -> None:
    deadline = time.monotonic() + 300
    while len(asked) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    watch.close()


def test_the_epoch_has_what_the_driver_says(gpu: torch.device) -> None:
    asked = list[str]()
    heats = iter([60, 71, 65])

    def temperature(handle: str, kind: int) -> int:
        return next(heats, 50)

    def errors(handle: str, *_: int) -> int:
        asked.append(handle)
        return 2

    answers = driver(
        UtilizationRates=lambda handle: SimpleNamespace(gpu=80), Temperature=temperature, TotalEccErrors=errors
    )
    watch = GpuWatch(gpu, answers, interval_s=0.001)
    until_sampled(watch, asked)
    assert set(asked) == {"GPU-12-ab"}
    assert watch.of_all() == {
        "gpu/memory_gib": 3.0,
        "gpu/use": 0.8,
        "gpu/least_use": 0.8,
        "gpu/temperature_c": 71.0,
        "gpu/hottest_rank": 0,
        "gpu/ecc_errors": 2,
        "gpu/ecc_errors_rank": 0,
    }
    assert "gpu/use" not in watch.of_all()  # each epoch has its own


def test_what_the_driver_does_not_tell_is_left_out(gpu: torch.device) -> None:
    asked = list[str]()

    def temperature(handle: str, kind: int) -> int:
        asked.append(handle)
        return 40

    watch = GpuWatch(gpu, driver(Temperature=temperature), interval_s=0.001)
    until_sampled(watch, asked)
    assert watch.of_all() == {"gpu/memory_gib": 3.0, "gpu/temperature_c": 40.0, "gpu/hottest_rank": 0}


def test_no_driver_costs_a_line_in_the_log(gpu: torch.device, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise NVMLError("Driver Not Loaded")

    broken = driver()
    broken.nvmlInit = fail
    watch = GpuWatch(gpu, broken)
    watch._thread.join(300)
    assert watch.of_all() == {"gpu/memory_gib": 3.0}
    assert "Driver Not Loaded" in capsys.readouterr().out


def test_on_a_cpu_nothing_is_told_and_nobody_asked() -> None:
    watch = GpuWatch(torch.device("cpu"), driver())
    assert watch.of_all() == {}
    watch.close()


def test_ranks_are_put_together() -> None:
    told = summary([Reading(GIB, [1.0, 0.5], 70.0, 0), Reading(2 * GIB, [0.25], 80.0, 3), Reading(GIB)])
    assert told["gpu/memory_gib"] == 2.0
    assert (told["gpu/use"], told["gpu/least_use"]) == (0.5, 0.25)
    assert (told["gpu/temperature_c"], told["gpu/hottest_rank"]) == (80.0, 1)
    assert (told["gpu/ecc_errors"], told["gpu/ecc_errors_rank"]) == (3, 1)
