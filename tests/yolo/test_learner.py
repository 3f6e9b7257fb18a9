"""Model, loss and optimiser as lent to the engine, against what Ultralytics itself would do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from yoloscale.data.seeds import seed_all

Parts = Callable[..., Any]
TASKS = ["detect", "segment", "pose", "obb", "classify", "semantic", "depth", "rtdetr"]


def batch_of(parts: Any, samples: list[int]) -> dict[str, Any]:
    """These samples, mosaic closed and the same every time, as one preprocessed batch."""
    drawn = []
    for sample in samples:
        seed_all(sample % len(parts.samples))
        drawn.append(parts.samples.sample(sample, True))
    prepared: dict[str, Any] = parts.learner.preprocess(parts.samples.collate(drawn))
    return prepared


def loss_of(parts: Any, samples: list[int]) -> float:
    """Without batch statistics, dropout and denoising noise, so that an image's part in the loss is its own."""
    module = parts.learner.module.train()
    for part in module.modules():
        if isinstance(part, (torch.nn.BatchNorm2d, torch.nn.BatchNorm1d, torch.nn.Dropout)):
            part.eval()
    if hasattr(module.model[-1], "num_denoising"):
        module.model[-1].num_denoising = 0
    seed_all(0)
    with torch.no_grad():
        loss, _ = parts.learner.loss(batch_of(parts, samples))
    return float(loss.sum())


@pytest.mark.parametrize("task", TASKS)
def test_the_loss_of_a_batch_twice_over(parts_of: Parts, task: str) -> None:
    """A sum doubles, a mean stays: what decides how micro-batches and ranks are weighted."""
    parts = parts_of(task, dropout=0.0)
    samples = [0, 1, 2, 3]
    ratio = loss_of(parts, samples + samples) / loss_of(parts, samples)
    expected = {"sum": 2.0, "mean": 1.0}[parts.learner.reduction]
    assert ratio == pytest.approx(expected, rel=0.02)


def test_loss_weights_of_the_two_heads_follow_ultralytics(parts_of: Parts) -> None:
    parts = parts_of("detect", epochs=7)
    criterion = parts.learner.module.criterion
    twin = type(criterion)(parts.learner.module)
    walked = []
    for _ in range(7):
        walked.append((twin.o2m, twin.o2o))
        twin.update()
    jumped = []
    for epoch in (0, 1, 2, 3, 4, 5, 6):
        parts.learner.start_epoch(epoch, 7)
        jumped.append((criterion.o2m, criterion.o2o))
    assert jumped == walked
    for epoch in (4, 0):
        parts.learner.start_epoch(epoch, 7)
        assert (criterion.o2m, criterion.o2o) == walked[epoch], "also after a roll-back, whatever came before"


def test_frozen_layers_do_not_learn_and_their_statistics_stay(parts_of: Parts) -> None:
    parts = parts_of("detect", freeze=3)
    learner = parts.learner
    for name, parameter in learner.module.named_parameters():
        frozen = name.startswith(("model.0.", "model.1.", "model.2."))
        assert parameter.requires_grad is not frozen, name
    before = {name: value.clone() for name, value in learner.module.state_dict().items()}
    learner.train_mode()
    step = parts.order.step(0, 0, 0)
    parts.schedule.apply(parts.stepper.optimizer, 1, 1.0, 2)
    drawn = [parts.samples.sample(index, True) for index in step.micro_batches[0].samples]
    parts.stepper(step, lambda: parts.samples.collate(drawn), lambda _: None)
    changed = {name for name, value in learner.module.state_dict().items() if not torch.equal(value, before[name])}
    assert not [name for name in changed if name.startswith(("model.0.", "model.1.", "model.2."))]
    assert any(name.startswith("model.3.") for name in changed)


def test_freezing_everything_is_refused(parts_of: Parts) -> None:
    with pytest.raises(ValueError, match="freeze fewer layers"):
        parts_of("detect", freeze=100)


@pytest.mark.parametrize("name", ["SGD", "AdamW", "MuSGD", "auto"])
def test_optimiser_and_groups_are_ultralytics(parts_of: Parts, name: str) -> None:
    parts = parts_of("detect", optimizer=name, lr0=0.02, momentum=0.9, weight_decay=0.001, batch=8, nbs=16)
    ours, trainer = parts.stepper.optimizer, parts.trainer
    theirs = trainer.build_optimizer(
        model=parts.learner.module, name=name, lr=0.02, momentum=0.9, decay=0.001, iterations=8
    )
    assert type(ours) is type(theirs)
    assert len(ours.param_groups) == len(theirs.param_groups)
    for own, expected in zip(ours.param_groups, theirs.param_groups, strict=True):
        assert [id(p) for p in own["params"]] == [id(p) for p in expected["params"]]
        for key in set(expected) - {"params", "fused", "foreach"}:
            assert own[key] == expected[key], key


@pytest.mark.parametrize(
    ("name", "images", "said"),
    [
        ("auto", 8, ["optimizer AdamW, lr0 0.002, momentum 0.9 (optimizer=auto)"]),
        ("auto", 10**6, ["optimizer MuSGD, lr0 0.01, momentum 0.9 (optimizer=auto)"]),
        ("SGD", 8, []),
    ],
)
def test_what_auto_has_chosen_is_told(parts_of: Parts, name: str, images: int, said: list[str]) -> None:
    from yoloscale.yolo.messages import listening

    parts = parts_of("detect", optimizer="SGD", lr0=0.3, momentum=0.6)
    parts.trainer.args.optimizer, parts.trainer.data["nc"] = name, 1
    with listening() as heard:
        parts.learner.build_optimizer(images, 16, 4, epochs=1)
    assert [message.text for message in heard] == said
    assert not [message for message in heard if message.is_warning]


@pytest.mark.parametrize("task", ["detect", "classify"])
def test_equal_seeds_give_equal_weights_and_other_seeds_others(parts_of: Parts, task: str) -> None:
    weights = [parts_of(task, seed=seed).learner.module.state_dict() for seed in (3, 3, 4)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert any(not torch.equal(weights[0][name], weights[2][name]) for name in weights[0])


def test_channels_last(parts_of: Parts) -> None:
    parts = parts_of("detect", channels_last=True)
    weight = parts.learner.module.model[1].conv.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert weight.grad.stride() == weight.stride()
