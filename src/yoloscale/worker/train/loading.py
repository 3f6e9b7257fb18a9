"""How the images of a run come to its ranks: cached or not, by how many loader workers, how far ahead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yoloscale.config.schema import Config
from yoloscale.data import cache, room
from yoloscale.data.room import Loading
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.remarks import Say
from yoloscale.yolo import evaluation_pass
from yoloscale.yolo.samples import UltralyticsSamples, attach, files, reader

CHANNELS = 3


def cache_images(
    config: Config,
    run: RunDirectory,
    ranks: Ranks,
    datasets: Sequence[Any],
    args: Any,
    folder: Path,
    *,
    threads: int,
    spared: int,
    say: Say,
) -> None:
    """Collective. Let training and validation set share decoded images on each node, where they fit.

    Args:
        args: Ultralytics' arguments; size and task decide what a decoded image looks like.
        folder: of disk caches, on this node.
        threads: that decode.
        spared: bytes of memory on this node that the loaders are going to need.
    """
    kind = "disk" if str(config.cache).lower() == "disk" else "ram"
    for dataset in datasets:
        say("caching images")
        key = cache.fingerprint(files(dataset), args.imgsz, args.task)
        shared = cache.build(kind, len(dataset), reader(dataset), key, folder, ranks, threads, spared)
        if not isinstance(shared, str):
            attach(dataset, shared)
        elif ranks.is_first:
            events.warn(run, shared)


def expected(config: Config, per_rank: int, workers: int) -> Loading:
    """What `workers` of a rank need, by the size of plain images, for micro-batches of `per_rank` of them."""
    image = CHANNELS * config.imgsz**2
    return Loading(workers, per_rank * image, evaluation_pass.BATCH * image)


def choose(run: RunDirectory, ranks: Ranks, samples: UltralyticsSamples, per_rank: int, workers: int) -> Loading:
    """Collective. At most `workers` for this rank, as many as its node has room for; less is put on record.

    The size of a batch is that of a first sample: with masks or depth it is more than its image.
    """
    sample = room.size_of(samples.collate([samples.sample(0, False)])) if workers else 0
    most = Loading(workers, per_rank * sample, evaluation_pass.BATCH * sample)
    free = room.room_of_rank(ranks.local_world_size)
    fitting = room.fit(most, free)
    sentences = group.gather_objects((ranks.host, room.difference(most, fitting, free)))
    if ranks.is_first:
        for host, sentence in dict(reversed(sentences)).items():  # of each node, what its first rank found
            if sentence is not None:
                events.warn(run, f"{host}: {sentence}")
    return fitting
