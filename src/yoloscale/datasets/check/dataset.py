"""Check a dataset's files before any rank starts: no torch, no numpy, and by default no image is decoded.

What training cannot do without is a ConfigError that lists everything. What training skips (corrupt images and label
files) is counted and listed, by the rules of Ultralytics, so that every rank skips the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from yoloscale.config.schema import LabelKind, Task
from yoloscale.datasets import identity, image_lists
from yoloscale.datasets.check import classes as check_classes
from yoloscale.datasets.check import images as check_images
from yoloscale.datasets.check import paths as check_paths
from yoloscale.datasets.check import problems as check_problems
from yoloscale.datasets.check import yaml
from yoloscale.datasets.check.classes import ClassFolders
from yoloscale.datasets.check.labels import LabelRules, Labels
from yoloscale.datasets.check.report import DatasetReport, SplitReport
from yoloscale.datasets.check.verdict import ImageCheck, inspect_image, judge_alone, label_path
from yoloscale.datasets.check.yaml import DatasetYaml, Reads
from yoloscale.datasets.label_formats import Setting
from yoloscale.datasets.ultralytics_paths import datasets_folder
from yoloscale.errors import ConfigError
from yoloscale.system.files import write_whole
from yoloscale.system.in_threads import in_threads
from yoloscale.system.remarks import Say, silent

VERSION = 6  # of the rules: another number, another cached result
_MEASURED_BY_BOXES = (LabelKind.boxes, LabelKind.polygons, LabelKind.keypoints)  # boxes with sides along the image's


def check(
    source: Path,
    task: Task,
    *,
    split: str = "val",
    single_cls: bool = False,
    flips: bool = True,
    trains: bool = True,
    deep: bool = False,
    cache: Path | None = None,
    say: Say = silent,
) -> DatasetReport:
    """Check the training split and the evaluated `split` of a dataset YAML or a folder of classes.

    Without `trains`, of a YAML only the evaluated one; folders of classes have their order from the training split.
    Of each image the first and last bytes are read; `deep` opens every one.
    With `cache` the result of unchanged files is kept there. `say` is told how far it is where that takes long. Raises
    ConfigError.
    """
    source = source.absolute()
    if task.label_kind is LabelKind.folders:
        folders = check_classes.read(source, split, single_class=single_cls)
        if problems := check_classes.problems(folders, split):
            raise ConfigError(problems)
        key = (source, task, split, deep, folders.classes, folders.names, folders.unknown)
        listed = {name: [image for images in by.values() for image in images] for name, by in folders.splits.items()}

        def classes_report() -> DatasetReport:
            report = _classes_report(folders, split, deep, say)
            return replace(report, digest=identity.digest(listed, _no_label, (task, folders.names), say))

        return _cached(cache, key, lambda: _state(listed, _no_label, say), classes_report)
    reads = Reads(task, split, single_cls, flips, trains)
    dataset = yaml.read(source, datasets_folder, reads)
    images = check_paths.images(dataset, reads.splits)
    keypoints = dataset.kpt_shape or (0, 0)
    rules = LabelRules(len(dataset.names), task.label_kind is LabelKind.keypoints, *keypoints, single_cls)
    lists = [str(path) for name in images for path in dataset.splits[name] if path.is_file()]
    question = (source, source.read_bytes(), task, reads.splits, deep, single_cls, _stated(lists, _no_label))
    masks = Path(dataset.masks_dir).name if dataset.masks_dir else None
    about = (task, dataset.names, dataset.kpt_shape, masks, dataset.depth_scale, dataset.label_mapping)

    def label_of(image: str) -> str | None:
        return label_path(image, dataset, task)

    def yaml_report() -> DatasetReport:
        report = _yaml_report(dataset, task, rules, images, deep, say)
        return replace(report, digest=identity.digest(images, label_of, about, say))

    return _cached(cache, question, lambda: _state(images, label_of, say), yaml_report)


def _no_label(image: str) -> None:
    """For images whose folder says what they are."""


def _yaml_report(
    dataset: DatasetYaml, task: Task, rules: LabelRules, images: dict[str, list[str]], deep: bool, say: Say
) -> DatasetReport:
    setting = Setting(dataset.file, task, rules, dataset.names)
    splits, judged, unlabelled = {}, {}, []
    for split, names in images.items():
        verdicts = _judged(lambda image: inspect_image(image, dataset, task, rules, deep), names, say)
        judged[split] = verdicts = _with_lines(verdicts, dataset.splits[split])
        unlabelled += check_problems.without_labels(split, verdicts, dataset.root)
        is_measured = split != "train" and task.label_kind in _MEASURED_BY_BOXES
        splits[split] = _summary(verdicts, setting, evaluated=is_measured)
    if problems := check_problems.problems_of_splits(judged, setting, dataset.root):
        cures = {problem.instead for problem in problems}
        raise ConfigError(problems + [problem for problem in unlabelled if problem.instead not in cures])
    notes = [f"{each.found}; {each.instead}" for each in unlabelled]
    evaluated = {name for split, names in images.items() if split != "train" for name in names}
    if shared := set(images.get("train", ())) & evaluated:
        notes.append(f"{len(shared)} images are both trained on and evaluated on")
    classes = tuple(dataset.names[index] for index in sorted(dataset.names))
    return DatasetReport(str(dataset.file), task.value, classes, splits, tuple(notes), deep)


def _with_lines(verdicts: list[ImageCheck], paths: Sequence[Path]) -> list[ImageCheck]:
    """Images that are not there, with the line of the list that names them."""
    if not any(verdict.skipped and not verdict.bytes for verdict in verdicts):
        return verdicts
    result, places = [], image_lists.places_of(paths)
    for verdict in verdicts:
        if verdict.skipped and not verdict.bytes and verdict.image in places:
            verdict = replace(verdict, skipped=f"{verdict.skipped} (listed in {places[verdict.image]})")
        result.append(verdict)
    return result


def _summary(verdicts: list[ImageCheck], setting: Setting, *, evaluated: bool) -> SplitReport:
    good = [verdict for verdict in verdicts if not verdict.skipped]
    labels = [verdict.labels or Labels() for verdict in good]
    total: Counter[int] = Counter()
    for label in labels:
        total.update(label.per_class)
    pictures = not total and all(verdict.labels is not None for verdict in good)
    labelled = len(good) if pictures else sum(bool(label.per_class) for label in labels)
    edges = [label.edges for label in labels if evaluated and (label.edges.boxes or label.edges.flat)]
    names = {0: "item"} if setting.rules.single_class else setting.names
    return replace(
        _files_of(verdicts),
        labelled=labelled,
        backgrounds=len(good) - labelled,
        objects=sum(total.values()),
        per_class={names[index]: total[index] for index in sorted(total)},
        duplicates=sum(label.duplicates for label in labels),
        over_edge=sum(edge.boxes for edge in edges),
        flat=sum(edge.flat for edge in edges),
        attainable=round(1 - sum(edge.missed for edge in edges) / max(sum(total.values()), 1), 4),
        edge_example=check_problems.edge_example(good) if edges else "",
        cure=check_problems.commonest_cause(verdicts, setting),
    )


def _files_of(verdicts: list[ImageCheck]) -> SplitReport:
    """A report that knows of no labels."""
    return SplitReport(
        images=len(verdicts),
        bytes=sum(verdict.bytes for verdict in verdicts),
        skipped=tuple(sorted(f"{verdict.image}: {verdict.why()}" for verdict in verdicts if verdict.skipped)),
        rewritten=tuple(sorted(verdict.image for verdict in verdicts if verdict.rewritten)),
        unread=sum(verdict.is_passing for verdict in verdicts),
    )


def _classes_report(folders: ClassFolders, split: str, deep: bool, say: Say) -> DatasetReport:
    root, named = folders.root, dict(zip(folders.classes, folders.names, strict=True))
    setting = Setting(root, Task.classify, LabelRules(len(named)), {})
    splits, problems = {}, []
    for name, classes in folders.splits.items():
        images = [image for files in classes.values() for image in files]
        verdicts = _judged(lambda image: judge_alone(image, deep), images, say)
        problems += check_problems.problems_of_split(name, verdicts, setting, root)
        bad = {verdict.image for verdict in verdicts if verdict.skipped}
        counts = {named[kind]: sum(image not in bad for image in files) for kind, files in classes.items()}
        splits[name] = replace(_files_of(verdicts), labelled=len(images) - len(bad), per_class=counts)
    if problems:
        raise ConfigError(problems)
    notes = tuple(check_classes.notes(folders, split))
    return DatasetReport(str(root), Task.classify.value, folders.names, splits, notes, deep)


def _judged(inspect_image: Callable[[str], ImageCheck], images: Sequence[str], say: Say) -> list[ImageCheck]:
    parts = in_threads(lambda chunk: list(map(inspect_image, chunk)), images, "images checked", say)
    return [verdict for part in parts for verdict in part]


def _cached(
    cache: Path | None, key: tuple[object, ...], state_of: Callable[[], str], report: Callable[[], DatasetReport]
) -> DatasetReport:
    """The report of the same question about the same files, asked by the same, else a new one, which is kept.

    Not one in which the file system has failed: that may not be so the next time.
    """
    if cache is None:
        return report()
    question = hashlib.sha256(repr((VERSION, check_images.surroundings(), *key)).encode()).hexdigest()[:24]
    kept, state = cache / "checks" / f"{question}.json", state_of()
    try:
        content = json.loads(kept.read_text(encoding="utf-8"))
        if content["state"] == state:
            return DatasetReport.from_json(content["report"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none kept, or of another version: made anew below
    answer = report()
    if any(split.unread for split in answer.splits.values()):
        return answer
    with contextlib.suppress(OSError):  # a shared cache may be read-only or full: then the next check is slow too
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, json.dumps({"state": state, "report": answer.as_json()}))
    return answer


def _state(images: Mapping[str, Sequence[str]], label_of: Callable[[str], str | None], say: Say) -> str:
    """All that a report of these images and labels depends on, but for what is in them; they are not opened."""
    digest = hashlib.sha256()
    for names in images.values():
        for state in in_threads(lambda chunk: _stated(chunk, label_of), names, "images looked for changes", say):
            digest.update(state)
        for folder in sorted({name.rpartition(os.sep)[0] for name in names}):  # whether JPEGs are rewritten there
            digest.update(f"{folder}\0{os.access(folder, os.W_OK)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _stated(images: Sequence[str], label_of: Callable[[str], str | None]) -> bytes:
    """Sizes, times, owners and permissions of files and their labels."""
    lines = list[str]()
    for image in images:
        for file in (image, label_of(image)):
            try:
                if file is not None:
                    status = os.stat(file)  # noqa: PTH116  # a Path for each of millions of files costs more
                    owner = f"{status.st_mode} {status.st_uid} {status.st_gid}"
                    lines.append(f"{file}\0{status.st_size} {status.st_mtime_ns} {owner}\n")
            except OSError as error:
                lines.append(f"{file}\0{error.errno}\n")
    return "".join(lines).encode("utf-8", "surrogateescape")
