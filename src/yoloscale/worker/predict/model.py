"""From a frozen config to a model on this rank's device."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from yoloscale.config.locations import cache_folder
from yoloscale.config.schema import PredictConfig
from yoloscale.datasets.sources import locate_weights
from yoloscale.predictions.model import Model
from yoloscale.worker.common.inputs import own_versions, refuse_other_weights
from yoloscale.yolo.inference.predictor import Predictor
from yoloscale.yolo.inference.settings import InferenceSettings

DEFAULT_CONF = 0.25  # Ultralytics'


def open_predictor(config: PredictConfig, device: torch.device) -> Predictor:
    """The model of a run, ready. Raises ConfigError for weights that are gone, others, or cannot do what is asked."""
    path = _weights(config)
    refuse_other_weights(config, path)
    return Predictor(path, settings_of(config), device)


def settings_of(config: PredictConfig) -> InferenceSettings:
    """What decides the rows, out of the config."""
    section = config.predict
    return InferenceSettings(
        task=config.model.task,
        imgsz=_size(config.imgsz),
        conf=DEFAULT_CONF if config.conf is None else config.conf,
        iou=config.iou,
        max_det=config.max_det,
        agnostic_nms=config.agnostic_nms,
        classes=_numbers(config.classes),
        quantize=None if config.quantize is None else int(config.quantize),
        nms=config.nms,
        rect=config.rect,
        augment=config.augment,
        retina_masks=config.retina_masks,
        embed=_numbers(config.embed),
        batch=config.batch,
        channels_last=config.channels_last,
        dnn=config.dnn,
        exact=section.exact,
        slice=section.slice,
        slice_overlap=section.slice_overlap,
    )


def _weights(config: PredictConfig) -> Path:
    assert config.model.weights is not None, "the launcher refuses a prediction without weights"
    return locate_weights(config.model.weights, cache_folder(config.paths))


def describe(config: PredictConfig, predictor: Predictor) -> Model:
    """What is kept of the model beside the rows. Raises ConfigError where packages are not those of the first start."""
    return Model(
        task=predictor.task,
        names=predictor.names,
        imgsz=predictor.imgsz,
        embeds=embeds(config),
        keypoints=predictor.kpt_shape,
        weights=config.origin.weights,
        versions=own_versions(config, _weights(config)),
        settings=asdict(predictor.settings) | {"task": predictor.task.value, "imgsz": list(predictor.imgsz)},
        machine=predictor.machine,
    )


def embeds(config: PredictConfig) -> bool:
    """Whether the rows hold features in the place of what the task has."""
    return bool(_numbers(config.embed))


def _size(value: Any) -> int | tuple[int, int] | None:
    if value is None or isinstance(value, (int, float)):
        return None if value is None else int(value)
    sides = [int(side) for side in value]
    return (sides[0], sides[-1])


def _numbers(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    return tuple(int(number) for number in value) if isinstance(value, (list, tuple)) else (int(value),)
