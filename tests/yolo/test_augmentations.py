"""Albumentations from YAML: what the installed package knows, and the same samples in any process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from tests.yolo.test_samples import assert_same, micro_batches

from yoloscale.errors import ConfigError

needs_albumentations = pytest.mark.skipif(
    find_spec("albumentations") is None,
    reason="albumentations is not installed: pip install 'yoloscale[augmentations]'",
)
STRONG = [
    {"GaussNoise": {"p": 1.0}},
    {"OneOf": {"transforms": [{"Blur": {"p": 1.0}}, {"ToGray": {"p": 1.0}}], "p": 0.7}},
    {"HorizontalFlip": {"p": 0.5}},
]


@needs_albumentations
@pytest.mark.parametrize("task", ["detect", "pose"])
def test_samples_are_the_same_with_any_number_of_workers(parts_of: Callable[..., Any], task: str) -> None:
    plain = micro_batches(parts_of(task), 0, (0, 0), 10)
    parts = parts_of(task, augmentations=STRONG)
    expected = micro_batches(parts, 0, (0, 0), 10)
    assert not any(torch.equal(batch["img"], other["img"]) for batch, other in zip(plain, expected, strict=True))
    for workers in (1, 2):
        for batch, other in zip(micro_batches(parts, workers, (0, 0), 10), expected, strict=True):
            assert_same(batch, other)
    for batch, other in zip(micro_batches(parts, 1, (0, 5), 3), expected[5:], strict=False):
        assert_same(batch, other)


@needs_albumentations
def test_those_that_ultralytics_has_by_itself_are_seeded_too_and_none_means_none(parts_of: Callable[..., Any]) -> None:
    from yoloscale.yolo.augmentations import _Seeded

    def applied(parts: Any) -> list[Any]:
        found = [
            each.transform
            for dataset in (parts.samples.dataset, parts.samples._closed)
            for each in dataset.transforms.transforms
            if type(each).__name__ == "Albumentations"
        ]
        assert len(found) == 2
        assert all(isinstance(each, _Seeded) for each in found)
        return [type(each).__name__ for each in found[0]._composition.transforms]

    assert "CLAHE" in applied(parts_of("detect"))
    assert applied(parts_of("detect", augmentations=[])) == []
    assert applied(parts_of("detect", augmentations=STRONG)) == ["GaussNoise", "OneOf", "HorizontalFlip"]


@needs_albumentations
@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"Blurr": {}}, "did you mean Blur"),
        ({"Blur": {"limit": 3}}, "has no argument 'limit'"),
        ({"Blur": {"p": 7}}, "Blur: "),
        ({"OneOf": {"transforms": [{"Noise": {}}]}}, "'Noise', which is no transform of"),
        ({"Lambda": {}}, "a function of your own cannot be written in YAML"),
        ({"transform": {"__class_fullname__": "Blurry", "p": 1}}, "Blurry"),
    ],
)
def test_what_the_package_does_not_know_is_told(item: dict[str, Any], said: str) -> None:
    from yoloscale.yolo.augmentations import serialised

    with pytest.raises(ConfigError) as refused:
        serialised([{"ToGray": {}}, item])
    assert said in str(refused.value)
    assert len(refused.value.problems) == 1


@needs_albumentations
def test_a_task_whose_images_take_none_is_told(parts_of: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="auto_augment"):
        parts_of("classify", augmentations=STRONG)


def test_no_transforms_need_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from yoloscale.yolo import augmentations

    monkeypatch.setitem(sys.modules, "albumentations", None)
    augmentations.adapt()
    assert augmentations.serialised([]) == []


def test_a_package_that_cannot_be_imported_ends_only_what_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from yoloscale.yolo import augmentations

    def broken() -> Any:
        raise ValueError("numpy.dtype size changed")

    monkeypatch.setattr(augmentations, "_library", broken)
    monkeypatch.setattr(augmentations, "version", lambda package: "2.0.8")
    augmentations.adapt()
    assert augmentations.installed() == "albumentations 2.0.8, which cannot be imported"
    with pytest.raises(ConfigError, match="cannot be imported: ValueError: numpy"):
        augmentations.serialised([{"Blur": {}}])


def unlike(ranks: Any, group: Any, versions: list[str], asked: Any) -> str:
    from types import SimpleNamespace

    from yoloscale.config.schema import Config
    from yoloscale.worker.train import parts as setup

    setup.augmentations.installed = lambda: versions[ranks.rank]  # type: ignore[method-assign]
    try:
        samples: Any = SimpleNamespace(has_albumentations=True)
        setup._refuse_other_augmentations(Config(augmentations=asked), ranks, samples)
    except ConfigError as error:
        return str(error)
    return "alike"


def test_nodes_with_other_packages_are_refused_by_all_ranks(launch_ranks: Any) -> None:
    here, there = "albumentations 2.0.8", "no albumentations"
    first, second = launch_ranks(unlike, 2, [here, there], None)
    assert first == second
    assert "rank 1 on" in first
    assert "has no albumentations" in first
    assert launch_ranks(unlike, 2, [here, there], []) == ["alike", "alike"]


def test_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a rank as by the launcher, which asks a process of its own."""
    from yoloscale.yolo import augmentations

    def no_version(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setitem(sys.modules, "albumentations", None)
    monkeypatch.setattr(augmentations, "version", no_version)
    with pytest.raises(ConfigError, match=r"yoloscale\[augmentations\]"):
        augmentations.serialised(STRONG)
