"""How fast a prediction could be at best: all ranks decode and nothing else, then all compute and nothing else.

Both do what a rank of `yoloscale predict` does with the same settings, in the same threads. The images of the second
measurement are decoded and letterboxed before it begins, and go through the model over again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import cycle, islice

from yoloscale.config.schema.bench_predict import PredictBenchConfig
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.engine.stop_requests import StopRequests
from yoloscale.exit_codes import FINISHED
from yoloscale.manifest.content import Reader
from yoloscale.manifest.table import Item, count, read
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.files import write_whole
from yoloscale.worker.predict.batches import batches
from yoloscale.worker.predict.model import open_predictor
from yoloscale.worker.predict.predict import loaders_of
from yoloscale.worker.predict.read_ahead import Lost, ReadAhead
from yoloscale.worker.train.parts import choose_device, stay_near
from yoloscale.yolo.inference.predictor import Predictor
from yoloscale.yolo.inference.prepare import Prepared

WARM_UP_BATCHES = 3
MOST_PREPARED = 64  # images that go through the model over again


def bench(config: PredictBenchConfig, run: RunDirectory, ranks: Ranks, attempt: int, requests: StopRequests) -> int:
    """Collective. Measure; rank 0 writes what came of it to result.json and says that the run is finished."""
    requests.stop_listening()  # a measurement that is broken off has nothing to save
    device = choose_device(config, ranks)
    ranks = stay_near(device, ranks)
    group.join(ranks, config.cluster.backend or "gloo", device, config.cluster.timeout_s)
    predictor, loaders = open_predictor(config, device), loaders_of(config, ranks)
    items = _share(run, ranks, config.bench.images)
    with Reader() as reader, ReadAhead(reader, predictor, loaders) as ahead:
        prepared = [image for _, image in ahead.images(items[:MOST_PREPARED]) if not isinstance(image, Lost)]
        if not prepared:
            raise ValueError(f"none of {len(items)} images of rank {ranks.rank} can be read")
        decode_s = _seconds(lambda: _decode(ahead, items))
    full = _batches(predictor, prepared)
    _compute(predictor, full[:WARM_UP_BATCHES])
    rounds = -(-config.bench.images // sum(len(batch) for batch in full))
    forward_s = _seconds(lambda: _compute(predictor, full * rounds))
    computed = rounds * sum(len(batch) for batch in full)
    speeds = group.gather_objects((len(items) / decode_s, computed / forward_s))
    if ranks.is_first:
        measured = {
            "decode_images_per_s": sum(decode for decode, _ in speeds),
            "forward_images_per_s": sum(forward for _, forward in speeds),
            "loaders": loaders,
            "precision": predictor.precision,
        }
        run.check()
        write_whole(run.result, json.dumps({"metrics": {}, "bench": measured}))
        events.append(run, events.Finished(epochs=0, steps=0))
    group.barrier()
    group.leave()
    return FINISHED


def _share(run: RunDirectory, ranks: Ranks, images: int) -> list[Item]:
    """So many images for this rank, from a place of its own in the manifest on, around its end if need be."""
    total = count(run.manifest)
    first = total * ranks.rank // ranks.world_size
    rows = [*read(run.manifest, first, total), *read(run.manifest, 0, first)]
    return list(islice(cycle(rows), images))


def _seconds(work: Callable[[], None]) -> float:
    """Collective. What the work of this rank takes, while the others are at theirs; all begin at once."""
    group.barrier()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _decode(ahead: ReadAhead, items: list[Item]) -> None:
    for _ in ahead.images(items):
        continue


def _batches(predictor: Predictor, prepared: list[Prepared]) -> list[list[Prepared]]:
    """Batches as of a unit; full ones, if there are any."""
    limit = 1 if predictor.settings.slice is not None else predictor.batch
    groups = list(batches(prepared, lambda image: image.shape, limit, most_waiting=len(prepared)))
    return [batch for batch in groups if len(batch) == limit] or groups


def _compute(predictor: Predictor, batches: list[list[Prepared]]) -> None:
    for batch in batches:
        predictor.predict(batch)
