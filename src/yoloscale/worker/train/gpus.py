"""How the GPUs of a run are doing: memory, use, temperature and memory errors, by epoch, over all ranks.

The driver (NVML) is asked in a thread of each rank, so that a driver that hangs stops nothing. Whatever it does not
tell is left out; nothing here fails a run.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import torch

from yoloscale.distributed import group

INTERVAL_S = 10.0
GIB = 2**30
_TIMEOUT_S = 2.0  # to end the thread


@dataclass
class Reading:
    """What one rank's GPU showed since it was last asked; None where the driver tells nothing."""

    memory_bytes: int = 0  # the most that torch has held
    use: list[float] = field(default_factory=list)  # 0 to 1, by sample
    temperature_c: float | None = None  # the highest
    errors: int | None = None  # of its memory that could not be corrected, since the driver was loaded


class GpuWatch:
    """Samples this rank's GPU; on a CPU it does nothing, and there is nothing to tell.

    Args:
        nvml: pynvml, or a stand-in.
    """

    def __init__(self, device: torch.device, nvml: Any = None, interval_s: float = INTERVAL_S) -> None:
        self._device, self._nvml, self._interval_s = device, nvml, interval_s
        self._reading, self._lock = Reading(), threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpu-watch", daemon=True)
        if device.type == "cuda":
            self._thread.start()

    def of_all(self) -> dict[str, float]:
        """Collective. What to say of an epoch, the same on every rank; empty on CPUs."""
        if self._device.type != "cuda":
            return {}
        return summary(group.gather_objects(self._take()))

    def close(self) -> None:
        """End the thread; one that hangs in the driver is left behind."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_TIMEOUT_S)

    def _take(self) -> Reading:
        with self._lock:
            reading, self._reading = self._reading, Reading(errors=self._reading.errors)
        reading.memory_bytes = torch.cuda.max_memory_reserved(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        return reading

    def _run(self) -> None:
        try:
            handle = self._open()
            while True:
                self._sample(handle)
                if self._stop.wait(self._interval_s):
                    return
        except Exception as error:  # no driver library, no right to ask it: the run goes on without these numbers
            print(f"GPU: use and temperature are not told: {type(error).__name__}: {error}", flush=True)

    def _open(self) -> Any:
        if self._nvml is None:
            import pynvml

            self._nvml = pynvml
        self._nvml.nvmlInit()
        identity = str(torch.cuda.get_device_properties(self._device).uuid)
        return self._nvml.nvmlDeviceGetHandleByUUID(identity if identity.startswith("MIG-") else f"GPU-{identity}")

    def _sample(self, handle: Any) -> None:
        nvml = self._nvml
        use = self._ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100)
        heat = self._ask(lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)))
        kind = (nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC)
        errors = self._ask(lambda: int(nvml.nvmlDeviceGetTotalEccErrors(handle, *kind)))
        with self._lock:
            if use is not None:
                self._reading.use.append(use)
            if heat is not None:
                self._reading.temperature_c = max(heat, self._reading.temperature_c or heat)
            if errors is not None:
                self._reading.errors = errors

    def _ask(self, question: Any) -> Any:
        try:
            return question()
        except self._nvml.NVMLError:  # an instance of a GPU (MIG) has no use, a GPU without ECC no errors
            return None


def summary(readings: list[Reading]) -> dict[str, float]:
    """The readings of all ranks, in rank order, as numbers of an epoch. Pure.

    The GPU that is used least holds the others up, or is idle for its rank; the hottest may be throttled.
    """
    use = {rank: sum(one.use) / len(one.use) for rank, one in enumerate(readings) if one.use}
    heat = {rank: one.temperature_c for rank, one in enumerate(readings) if one.temperature_c is not None}
    errors = {rank: one.errors for rank, one in enumerate(readings) if one.errors is not None}
    numbers: dict[str, float] = {"gpu/memory_gib": round(max(one.memory_bytes for one in readings) / GIB, 2)}
    if use:
        numbers["gpu/use"] = round(sum(use.values()) / len(use), 3)
        numbers["gpu/least_use"] = round(min(use.values()), 3)
    if heat:
        numbers["gpu/temperature_c"] = max(heat.values())
        numbers["gpu/hottest_rank"] = max(heat, key=lambda rank: heat[rank])
    if errors:
        numbers["gpu/ecc_errors"] = sum(errors.values())
        if numbers["gpu/ecc_errors"]:
            numbers["gpu/ecc_errors_rank"] = max(errors, key=lambda rank: errors[rank])
    return numbers
