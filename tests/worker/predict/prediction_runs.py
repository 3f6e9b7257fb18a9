"""Runs that predict, made by hand: what the launcher leaves in a folder before any rank starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from yoloscale.config.freeze import freeze
from yoloscale.config.schema import ClusterConfig, Device, ModelConfig, PredictConfig
from yoloscale.config.schema.predict import PredictSection
from yoloscale.manifest.sources import write
from yoloscale.predictions import parts
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.system.files import sha256_of
from yoloscale.system.remarks import silent

SOURCE = Path(__file__).parents[3] / "src"
IMGSZ, CONF = 64, 0.001
SIZES = ((64, 64), (64, 48), (40, 64), (96, 64))  # height, width


def write_images(folder: Path, count: int) -> Path:
    """PNG files of a few shapes, each with its own content."""
    import cv2
    import numpy as np

    folder.mkdir(parents=True)
    for number in range(count):
        height, width = SIZES[number % len(SIZES)]
        coarse = np.random.default_rng(number).integers(0, 255, (8, 8, 3), np.uint8)
        assert cv2.imwrite(str(folder / f"{number:04d}.png"), cv2.resize(coarse, (width, height)))
    return folder


def config_of(weights: Path, images: Path, *, unit: int, **cluster: object) -> PredictConfig:
    place = ClusterConfig(procs_per_node=1, device=Device.cpu, threads=1)
    for key, value in cluster.items():
        setattr(place, key, value)
    config = PredictConfig(
        id="0123456789ab",
        source=[str(images)],
        imgsz=IMGSZ,
        conf=CONF,
        model=ModelConfig(weights=str(weights)),
        cluster=place,
        predict=PredictSection(unit=unit),
    )
    config.origin.folder = str(images.parent)
    return config


def make_run(folder: Path, config: PredictConfig) -> RunDirectory:
    """The folder of a run, frozen, with its manifest."""
    folder.mkdir(parents=True)
    freeze(config, folder / "config.yaml")
    run = owned(RunDirectory(folder))
    write(config.source, run.manifest, column="source", vid_stride=1, base=folder, say=silent)
    return run


def digests(run: RunDirectory) -> dict[int, str]:
    """SHA-256 of each part."""
    return {unit: sha256_of(parts.path(run.path, unit)) for unit in sorted(parts.done(run.path))}


def start(run: RunDirectory, ranks: int, program: Sequence[str] = ("-m", "yoloscale.worker")) -> list[Rank]:
    """Start the ranks of a run as torchrun would, with nobody to look after them."""
    return [Rank(run, rank, ranks, program) for rank in range(ranks)]


class Rank:
    """A process of a run. It is killed at the end of a `with` block if it is still there."""

    def __init__(self, run: RunDirectory, rank: int, ranks: int, program: Sequence[str]) -> None:
        variables = {"RANK": rank, "WORLD_SIZE": ranks, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": ranks}
        environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
        environment |= {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
        for name in ("YOLOSCALE_RUN_ID", "YOLOSCALE_ATTEMPT"):
            environment.pop(name, None)
        self._process = subprocess.Popen([sys.executable, *program, str(run.path)], env=environment)

    def wait(self) -> int:
        return self._process.wait(timeout=600)  # bounds a hang

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    @property
    def is_over(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
