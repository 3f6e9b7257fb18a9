"""Numbers from the samples of `yoloscale bench predict`: medians, spreads and ratios. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from yoloscale.bench.figures import Figure, figure
from yoloscale.bench.prediction_sides import Limits, Pace

TARGETS = {"ours/yolo": 2.3, "ours/tuned": 1.6, "ours/alone": 0.97, "ours/limit": 0.95}
IN_TURN = "ours/in turn"  # without a target: what the CPUs allow that do both
_SHARED = "; in turn: an image after the other by the same CPUs, which is the most that they can do"
TARGET_OF_HALF = 3.5  # of ours/yolo with quantize=16 on a CPU, where `yolo` computes in 32 bits


@dataclass(frozen=True)
class Round:
    """One repeat over all sides."""

    ours: Pace
    yolo: Pace  # as it comes
    tuned: Mapping[int, Pace]  # by batch
    alone: Pace | None  # processes of one rank each, side by side; None where there is one
    limits: Limits


def best_batch(first: Round) -> int:
    """The batch with which `yolo` was fastest in the first round; the others are not measured again."""
    return max(first.tuned, key=lambda batch: first.tuned[batch].images_per_s)


def speeds(rounds: Sequence[Round]) -> dict[str, Figure]:
    """Images per second of each side, and of the limits."""
    batch, has_alone = best_batch(rounds[0]), rounds[0].alone is not None
    return {
        "ours": figure([one.ours.images_per_s for one in rounds]),
        "yolo": figure([one.yolo.images_per_s for one in rounds]),
        "tuned": figure([one.tuned[batch].images_per_s for one in rounds]),
        **({"alone": figure([one.alone.images_per_s for one in rounds if one.alone])} if has_alone else {}),
        "decode only": figure([one.limits.decode_images_per_s for one in rounds]),
        "forward only": figure([one.limits.forward_images_per_s for one in rounds]),
    }


def ratios(rounds: Sequence[Round], shares_cpus: bool) -> dict[str, Figure]:
    """Ours over the others, by repeat, so that a slow moment of the machine hits both.

    Args:
        shares_cpus: images are decoded by the same CPUs that compute.
    """
    batch = best_batch(rounds[0])
    others = {
        "ours/yolo": [one.yolo.images_per_s for one in rounds],
        "ours/tuned": [one.tuned[batch].images_per_s for one in rounds],
        "ours/alone": [one.alone.images_per_s for one in rounds if one.alone],
        "ours/limit": [one.limits.slower for one in rounds],
        IN_TURN: [one.limits.in_turn for one in rounds] if shares_cpus else [],
    }
    ours = [one.ours.images_per_s for one in rounds]
    return {
        name: figure([mine / theirs for mine, theirs in zip(ours, values, strict=True)])
        for name, values in others.items()
        if values
    }


def as_json(rounds: Sequence[Round], shares_cpus: bool, about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, for `-o json`; `about` are the facts that no sample holds. Keys are stable."""
    last, batch = rounds[-1], best_batch(rounds[0])
    sides = {"ours": last.ours, "yolo": last.yolo, "tuned": last.tuned[batch], "alone": last.alone}
    is_half = last.ours.precision != last.yolo.precision
    targets = {**TARGETS, **({"ours/yolo": TARGET_OF_HALF} if is_half else {})}
    return {
        "images_per_s": {name: asdict(value) for name, value in speeds(rounds).items()},
        "ratios": {
            name: {**asdict(value), "target": targets.get(name)} for name, value in ratios(rounds, shares_cpus).items()
        },
        "total_s": {name: asdict(figure(values)) for name, values in _totals(rounds).items()},
        "tuned_by_batch": {str(number): pace.images_per_s for number, pace in rounds[0].tuned.items()},
        "limit": "the slower of decode and forward" + (_SHARED if shares_cpus else ""),
        "sides": {
            name: {
                "precision": side.precision,
                "processes": side.processes,
                "threads": side.threads,
                "batch": side.batch,
            }
            for name, side in sides.items()
            if side is not None
        },
        "loaders": last.limits.loaders,
        **about,
    }


def _totals(rounds: Sequence[Round]) -> dict[str, list[float]]:
    """Seconds from the command to its end."""
    batch = best_batch(rounds[0])
    return {
        "ours": [one.ours.total_s for one in rounds],
        "yolo": [one.yolo.total_s for one in rounds],
        "tuned": [one.tuned[batch].total_s for one in rounds],
    }
