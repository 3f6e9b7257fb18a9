"""Training and validation sets, built by the task trainer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from yoloscale.config.schema import LabelKind, Task
from yoloscale.datasets.check import classes as check_classes
from yoloscale.distributed import group
from yoloscale.distributed.heartbeat import HEARTBEAT
from yoloscale.errors import ConfigError, Problem
from yoloscale.yolo.evaluation_pass import BATCH


def build(trainer: Any) -> tuple[Any, Any]:
    """The training and the validation set; writes label caches, so ranks take turns.

    Caching of decoded images is ours (`data.cache`), so Ultralytics' own is switched off. Validation is rectangular
    whatever `rect` says, as in `yolo train`. What depends on both sets
    (class weights, the number of detections kept) is set on the trainer's model.
    """
    args, task = trainer.args, Task(trainer.args.task)
    cached, args.cache = args.cache, False
    rectangular, args.rect = args.rect, False  # ours, too (`data.rectangles`); Ultralytics would sort the images
    with signs_of_life():
        train = trainer.build_dataset(trainer.data["train"], "train", args.batch)
        validation = trainer.build_dataset(trainer.data[args.split], "val", BATCH)
    args.cache, args.rect = cached, rectangular
    if task.label_kind is LabelKind.folders and not args.single_cls:
        _refuse_other_classes(Path(args.data), tuple(train.base.classes))
    for dataset in (train, validation):
        if hasattr(dataset, "im_files"):
            dataset.cache = "ram"  # Ultralytics' word for: no buffer of recently loaded images
    trainer.train_loader = SimpleNamespace(dataset=train)
    trainer.test_loader = SimpleNamespace(dataset=validation)
    trainer.set_class_weights()
    if task.finds_objects:
        from ultralytics.models.yolo.detect import DetectionValidator

        DetectionValidator._check_max_det(args, {"train": train, "val": validation})
        trainer.model.set_head_attr(max_det=args.max_det)
    if task.label_kind is LabelKind.folders:
        trainer.model.transforms = validation.torch_transforms  # travels with the weights: predict uses it
    return train, validation


def follow_first_rank(dataset: Any) -> None:
    """Collective. Give a set that Ultralytics has sorted by aspect ratio the order that it has on rank 0.

    Where CPUs have other vector instructions, numpy puts images of equal ratios in another order.
    """
    if not getattr(dataset, "rect", False):
        return
    place_of = {file: place for place, file in enumerate(sorted(dataset.im_files))}
    mine = [place_of[file] for file in dataset.im_files]
    first = group.broadcast_object(mine)
    if first == mine or sorted(first) != sorted(mine):
        return
    here = {place: index for index, place in enumerate(mine)}
    for name in ("im_files", "labels", "npy_files"):
        values = getattr(dataset, name)
        setattr(dataset, name, [values[here[place]] for place in first])


def _refuse_other_classes(root: Path, classes: tuple[str, ...]) -> None:
    """The check before the run has counted the classes; raise ConfigError where this release counts otherwise."""
    checked = tuple(name for name in check_classes.class_names(root)[0] if (root / "train" / name).is_dir())
    if classes != checked:
        found = f"Ultralytics finds the class folders {', '.join(classes)}, the check {', '.join(checked)}"
        raise ConfigError(Problem("data", found, f"leave only folders of images in {root / 'train'}"))


@contextmanager
def signs_of_life() -> Iterator[None]:
    """Within: each file that Ultralytics looks at or scans for a data set moves this rank's heartbeat on.

    It shows all long work on files by its progress bar, and looks at the age of all files before that.
    """
    from ultralytics.data import dataset

    names: Any = dataset
    bar, get_hash = names.TQDM, names.get_hash

    class Moving(bar):  # type: ignore[misc,valid-type]  # whatever its bar is
        def __iter__(self) -> Iterator[Any]:
            return HEARTBEAT.through(super().__iter__())

    names.TQDM, names.get_hash = Moving, lambda paths: get_hash(HEARTBEAT.through(paths))
    try:
        yield
    finally:
        names.TQDM, names.get_hash = bar, get_hash
