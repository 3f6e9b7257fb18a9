"""Numbers from the samples of `yoloscale bench checkpoint`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from yoloscale.bench.figures import Figure, figure

PER_MINUTE_S = 0.6  # 1 % of a minute
OF_NATIVE = 0.1
RESUME = (0.9, 1.1)  # at a late step, over an early one

Round = Mapping[str, Any]


def as_json(
    cost: Mapping[str, Any], resumed: Mapping[int, Sequence[float]], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything, for `-o json`; keys are stable. `cost`: what `worker/bench/checkpoint_cost.py` measured.

    `resumed`: seconds from the command to the first step, by the step of the epoch that it was resumed at. `about`: the
    facts that no sample holds.
    """
    rounds: Sequence[Round] = cost["rounds"]
    blocked = _over(rounds, lambda r: r["blocked_s"])
    delayed = _over(rounds, delay_s)
    a_minute = 60.0 / cost["interval_s"]  # checkpoints
    return {
        "blocked_s": {
            "ours": asdict(blocked),
            "ours after an epoch": asdict(_over(rounds, lambda r: r["epoch_end_s"])),
            "yolo": asdict(_over(rounds, lambda r: r["native_s"])),
            "yolo with best.pt": asdict(_over(rounds, lambda r: r["native_best_s"])),
        },
        "ours/yolo": {**asdict(_over(rounds, lambda r: r["blocked_s"] / r["native_s"])), "target": OF_NATIVE},
        "ours after an epoch/yolo": asdict(_over(rounds, lambda r: r["epoch_end_s"] / r["native_s"])),
        "blocked_s_per_minute": {"value": blocked.median * a_minute, "target": PER_MINUTE_S},
        "cost_s_per_minute": (blocked.median + delayed.median) * a_minute,
        "interval_s": {"value": cost["interval_s"], "mtbf_s": cost["mtbf_s"]},
        "first_blocked_s": cost["first_blocked_s"],
        "write_s": asdict(_over(rounds, lambda r: r["write_s"])),
        "bytes": {"ours": rounds[-1]["bytes"], "yolo": cost["native_bytes"]},
        "steps_per_s": _speeds(rounds),
        "delay_s": asdict(delayed),
        "resume_s": {str(step): asdict(figure(values)) for step, values in resumed.items()},
        "resume_ratio": _resume_ratio(resumed),
        "side": {name: cost[name] for name in ("precision", "threads", "workers")},
        **about,
    }


def delay_s(one: Round) -> float:
    """Seconds by which the steps beside a write took longer than as many steps of the same round without one."""
    beside: Sequence[float] = one["beside_s"]
    quiet: Sequence[float] = one["quiet_s"]
    return sum(beside) - len(beside) * median(quiet)


def _speeds(rounds: Sequence[Round]) -> dict[str, Any]:
    with_write = [r for r in rounds if r["beside_s"]]  # a write may be over before the next step begins
    speeds = {"quiet": _over(rounds, lambda r: _rate(r["quiet_s"]))}
    if with_write:
        speeds["beside a write"] = _over(with_write, lambda r: _rate(r["beside_s"]))
        speeds["ratio"] = _over(with_write, lambda r: _rate(r["beside_s"]) / _rate(r["quiet_s"]))
    return {name: asdict(speed) for name, speed in speeds.items()}


def _resume_ratio(resumed: Mapping[int, Sequence[float]]) -> dict[str, Any]:
    """Late over early, by repeat."""
    early, late = resumed[min(resumed)], resumed[max(resumed)]
    ratios = [b / a for a, b in zip(early, late, strict=True)]
    return {**asdict(figure(ratios)), "target": list(RESUME)}


def _rate(seconds: Sequence[float]) -> float:
    return len(seconds) / sum(seconds)


def _over(rounds: Sequence[Round], value: Callable[[Round], float]) -> Figure:
    return figure([value(one) for one in rounds])
