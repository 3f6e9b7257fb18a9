"""Does training with yoloscale give the same accuracy as `yolo train`? Both sides, several seeds each, one table.

    python scripts/parity.py                                     rendered images, from scratch
    python scripts/parity.py --data trees --weights yolo26n.pt   photographs, fine-tuned
    python scripts/parity.py --seeds 1 --epochs 2 data.shapes.train_images=32

`yolo train` runs in one process, ours in two ranks, on the CPU and in fp32 unless told otherwise; data, seeds, epochs,
global batch and hyperparameters are the same. Every best.pt is then evaluated by `YOLO(best.pt).val()`, and ours must
get the metrics from it that its run reported.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from yoloscale.bench import commands
from yoloscale.bench import sides as bench_sides
from yoloscale.bench.machine import describe_machine
from yoloscale.config.locations import cache_folder
from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError

METRIC = "metrics/mAP50-95"  # of boxes, masks or keypoints: the last of them counts, the task's own
DEFAULTS = {
    "shapes": ["experiment=shapes_demo", "epochs=12", "imgsz=160", "close_mosaic=4"],
    "trees": ["data=trees", "epochs=10", "imgsz=320", "batch=16", "nbs=16", "workers=1", "plots=false"],
}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """One trained model: what `YOLO(best.pt).val()` says, and what its run said (ours only)."""

    seed: int
    validated: float
    images_per_s: float
    reported: float | None = None
    largest_difference: float | None = None  # over all metrics, between reported and validated


@dataclass(frozen=True)
class Summary:
    """Some models of one side. The deviation is that of a sample; NaN for a single model."""

    mean: float
    deviation: float


def summary(values: Sequence[float]) -> Summary:
    """Mean and standard deviation of at least one value."""
    return Summary(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan)


def difference_in_deviations(ours: Summary, yolo: Summary) -> float:
    """(ours − yolo) over the pooled standard deviation of the two; NaN where there is no deviation to compare with."""
    pooled = math.sqrt((ours.deviation**2 + yolo.deviation**2) / 2)
    if math.isnan(pooled) or pooled == 0:
        return math.nan
    return (ours.mean - yolo.mean) / pooled


def main_metric(metrics: dict[str, float]) -> float:
    """mAP50-95 of the task, else the fitness."""
    return next((value for name, value in reversed(metrics.items()) if name.startswith(METRIC)), metrics["fitness"])


def largest_difference(reported: dict[str, float], validated: dict[str, float]) -> float:
    """The largest absolute difference over the metrics that both name; there must be some."""
    shared = [name for name in reported if name in validated and name.startswith("metrics/")]
    assert shared, f"no metric in common: {sorted(reported)}, {sorted(validated)}"
    return max(abs(reported[name] - validated[name]) for name in shared)


def report(ours: Sequence[Outcome], yolo: Sequence[Outcome]) -> dict[str, Any]:
    """All figures, for JSON."""
    summaries = [summary([outcome.validated for outcome in side]) for side in (ours, yolo)]
    return {
        "ours": [asdict(outcome) for outcome in ours],
        "yolo": [asdict(outcome) for outcome in yolo],
        "mean": {"ours": summaries[0].mean, "yolo": summaries[1].mean},
        "deviation": {"ours": summaries[0].deviation, "yolo": summaries[1].deviation},
        "difference": summaries[0].mean - summaries[1].mean,
        "difference_in_deviations": difference_in_deviations(*summaries),
        "reported_against_validated": max(outcome.largest_difference or 0.0 for outcome in ours),
    }


def lines(found: dict[str, Any]) -> list[str]:
    """The report for people."""
    table = [f"{'seed':>6}  {'yoloscale':>10}  {'yolo train':>10}   mAP50-95 of best.pt by YOLO().val()"]
    for ours, yolo in zip(found["ours"], found["yolo"], strict=True):
        table.append(f"{ours['seed']:>6}  {ours['validated']:>10.4f}  {yolo['validated']:>10.4f}")
    for name in ("mean", "deviation"):
        table.append(f"{name[:6]:>6}  {found[name]['ours']:>10.4f}  {found[name]['yolo']:>10.4f}")
    return [
        *table,
        f"difference {found['difference']:+.4f}, which is {found['difference_in_deviations']:+.2f} standard deviations",
        "largest difference between a metric that yoloscale reported and YOLO(best.pt).val(): "
        f"{found['reported_against_validated']:.6f}",
    ]


def tokens_of(parsed: argparse.Namespace) -> list[str]:
    """The settings of both sides, without the seed."""
    words = [*DEFAULTS[parsed.data], "amp=false", f"device={parsed.device}"]
    words += ["cluster.procs_per_node=2"] if parsed.device == "cpu" else []
    words += [f"model={parsed.weights}"] if parsed.weights else ["model=yolo26n.yaml"]
    words += [f"epochs={parsed.epochs}"] if parsed.epochs else []
    return [*words, *parsed.settings]


def train_pair(tokens: list[str], seed: int, folder: Path, say: Say) -> tuple[Outcome, Outcome]:
    """Train both sides with one seed, evaluate both."""
    from yoloscale.config.resolve import starting_weights
    from yoloscale.datasets import sources
    from yoloscale.launch.configure import configure
    from yoloscale.launch.prepare import prepare

    seeded = ["--config-name=train", *tokens, f"seed={seed}"]
    config = prepare(configure(seeded), say)
    assert config.model.task is not None, "prepare fills it in"
    cache, weights = cache_folder(config.paths), starting_weights(config)
    source = sources.locate(config.data, config.model.task, cache)
    found = sources.locate_weights(weights, cache) if weights else None
    config.amp = False if config.amp in (False, "fp32") else config.amp
    name = f"ours-{seed}"
    sample = bench_sides.measure_ours(commands.ours(seeded, folder, name), folder, name)
    said = json.loads((folder / name / "result.json").read_text(encoding="utf-8"))
    reported = {**said["metrics"], "fitness": said["fitness"]}
    validated = validate(folder / name / "weights" / "best.pt", source, config)
    ours = Outcome(
        seed,
        main_metric(validated),
        sample.images_per_s,
        main_metric(reported),
        largest_difference(reported, validated),
    )
    say(f"seed {seed}  yoloscale   {ours.validated:.4f}  {ours.images_per_s:.1f} images/s")
    name = f"yolo-{seed}"
    arguments = commands.yolo_arguments(config, source, found, {})
    sample = bench_sides.measure_yolo(commands.yolo(arguments, folder, name), folder, name)
    validated = validate(folder / name / "weights" / "best.pt", source, config)
    yolo = Outcome(seed, main_metric(validated), sample.images_per_s)
    say(f"seed {seed}  yolo train  {yolo.validated:.4f}  {yolo.images_per_s:.1f} images/s")
    return ours, yolo


def validate(weights: Path, source: Path, config: Config) -> dict[str, float]:
    """Metrics of a `.pt` by Ultralytics' own validation."""
    from ultralytics.models import YOLO

    logging.getLogger("ultralytics").setLevel(logging.WARNING)
    with redirect_stdout(sys.stderr):  # progress bars
        found = YOLO(str(weights)).val(
            data=str(source),
            imgsz=config.imgsz,
            device=commands.yolo_device(config).split(",")[0],
            plots=False,
            verbose=False,
            project=str(weights.parent.parent),
            name="val",
        )
    return {name: float(value) for name, value in found.results_dict.items()}


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--seeds", type=int, default=3, help="models of each side (3)")
    made.add_argument("--epochs", type=int, help="12 for shapes, 10 for trees")
    made.add_argument("--data", choices=sorted(DEFAULTS), default="shapes")
    made.add_argument("--weights", help="start from this .pt; from scratch without it")
    made.add_argument("--device", default="cpu", help="as in `yolo train` (cpu)")
    made.add_argument("--folder", type=Path, default=Path("runs") / "parity", help="where both sides' runs go")
    made.add_argument("settings", nargs="*", metavar="key=value", help="for both sides, as in `yoloscale train`")
    return made


def say(line: str) -> None:
    """Progress, beside the result."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Train, evaluate, print; 0 if everything ran, 1 if a side failed, 2 bad settings."""
    parsed = arguments().parse_args()
    folder = parsed.folder.absolute()
    try:
        if folder.exists():
            raise SystemExit(f"{folder} exists: remove it, or give another --folder")
        folder.mkdir(parents=True)
        pairs = [train_pair(tokens_of(parsed), seed, folder, say) for seed in range(parsed.seeds)]
    except ConfigError as error:
        say(str(error))
        return 2
    except bench_sides.SideFailed as failure:
        say(str(failure))
        return 1
    found = report([ours for ours, _ in pairs], [yolo for _, yolo in pairs])
    (folder / "report.json").write_text(json.dumps({**found, "machine": describe_machine()}, indent=1) + "\n")
    print("\n".join(lines(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
