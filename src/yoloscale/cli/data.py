"""`yoloscale data check|prepare [key=value …]`: look at a dataset, or fetch and render it, without training."""

from __future__ import annotations

import json

from yoloscale.cli import arguments
from yoloscale.cli.show.watch import say
from yoloscale.config.locations import cache_folder
from yoloscale.config.schema import Task
from yoloscale.exit_codes import FINISHED


def main(typed: list[str]) -> int:
    """Report on the dataset that the same settings would train on; 2 if training would refuse it."""
    parser = arguments.plain_parser("data", "Check a dataset, or fetch and render it ahead of a run.")
    parser.add_argument("action", choices=("check", "prepare"))
    parser.add_argument("--deep", action="store_true", help="open every image too")
    arguments.add_output(parser)
    parsed, tokens = parser.parse_known_args(typed)

    from yoloscale.config.compose.flags import split
    from yoloscale.config.compose.hydra import run_hydra_flags
    from yoloscale.datasets import sources
    from yoloscale.datasets.check import dataset as check
    from yoloscale.datasets.check.yaml import Reads
    from yoloscale.launch.configure import configure

    line = split(tokens)
    if (exit_code := run_hydra_flags(line)) is not None:
        return exit_code
    config = configure(line, say)
    task = config.model.task or Task.detect
    cache = cache_folder(config.paths)
    reads = Reads.of(config, task)
    source = sources.prepare(config.data, task, cache, say, reads)
    if parsed.action == "prepare":
        print(json.dumps({"source": str(source)}) if parsed.output == "json" else source)
        return FINISHED
    report = check.check(
        source,
        task,
        split=reads.split,
        single_cls=reads.single_cls,
        flips=reads.flips,
        deep=parsed.deep,
        cache=cache,
        say=say,
    )
    print(json.dumps(report.as_json(), indent=1) if parsed.output == "json" else "\n".join(report.lines()))
    return FINISHED
