"""Check a dataset's files before any rank starts: no torch, no numpy, and by default no image is decoded.

What training cannot do without is a ConfigError that lists everything. What training skips (corrupt images and label
files) is counted and listed, by the rules of Ultralytics, so that every rank skips the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from yoloscale.config.errors import ConfigError
from yoloscale.config.schema import Task
from yoloscale.data import check_classes, check_paths, check_problems, check_yaml, identity, image_lists
from yoloscale.data.check_classes import ClassFolders
from yoloscale.data.check_labels import LabelRules, Labels
from yoloscale.data.check_report import DatasetReport, SplitReport
from yoloscale.data.check_verdict import Verdict, judge, judge_alone, label_path
from yoloscale.data.check_yaml import DatasetYaml, Reads
from yoloscale.data.label_formats import Setting
from yoloscale.data.ultralytics_paths import datasets_folder
from yoloscale.system.files import write_whole

VERSION = 5  # of the rules: another number, another cached result
_THREADS = 16  # file systems answer many questions at once, also when few CPUs ask
_CHUNK = 256
_MEASURED_BY_BOXES = (Task.detect, Task.segment, Task.pose)  # boxes with sides along the image's


def check(
    source: Path,
    task: Task,
    *,
    split: str = "val",
    single_cls: bool = False,
    flips: bool = True,
    deep: bool = False,
    cache: Path | None = None,
) -> DatasetReport:
    """Check the training split and the evaluated `split` of a dataset YAML or a folder of classes.

    Of each image the first and last bytes are read; `deep` opens every one.
    With `cache` the result of unchanged files is kept there. Raises ConfigError.
    """
    source = source.absolute()
    if task is Task.classify:
        found = check_classes.read(source, split, single_class=single_cls)
        if problems := check_classes.problems(found, split):
            raise ConfigError(problems)
        files = [name for classes in found.splits.values() for images in classes.values() for name in images]
        key = (source, task, split, deep, found.classes, found.names, found.unknown)
        listed = {name: [image for images in by.values() for image in images] for name, by in found.splits.items()}

        def classes_report() -> DatasetReport:
            about = (task, found.names)
            return replace(_classes_report(found, split, deep), digest=identity.digest(listed, lambda _: None, about))

        return _cached(cache, key, files, classes_report)
    dataset = check_yaml.read(source, datasets_folder, Reads(task, split, single_cls, flips))
    images = check_paths.images(dataset, split)
    rules = _rules(dataset, task, single_cls)
    labels = [path for names in images.values() for name in names if (path := label_path(name, dataset, task))]
    question = (source, source.read_bytes(), task, split, deep, single_cls)
    files = [*labels, *(name for names in images.values() for name in names)]
    masks = Path(dataset.masks_dir).name if dataset.masks_dir else None
    about = (task, dataset.names, dataset.kpt_shape, masks, dataset.depth_scale, dataset.label_mapping)

    def report() -> DatasetReport:
        found = _yaml_report(dataset, task, rules, images, deep)
        return replace(found, digest=identity.digest(images, lambda image: label_path(image, dataset, task), about))

    return _cached(cache, question, files, report)


def _rules(dataset: DatasetYaml, task: Task, single_cls: bool) -> LabelRules:
    keypoints, dimensions = dataset.kpt_shape or (0, 0)
    return LabelRules(len(dataset.names), task is Task.pose, keypoints, dimensions, single_cls)


def _yaml_report(
    dataset: DatasetYaml, task: Task, rules: LabelRules, images: dict[str, list[str]], deep: bool
) -> DatasetReport:
    setting = Setting(dataset.file, task, rules, dataset.names)
    splits, problems, unlabelled = {}, [], []
    for split, names in images.items():
        verdicts = _in_threads(lambda image: judge(image, dataset, task, rules, deep), names)
        verdicts = _with_lines(verdicts, dataset.splits[split])
        problems += check_problems.problems_of_split(split, verdicts, setting, dataset.root)
        unlabelled += check_problems.without_labels(split, verdicts, dataset.root)
        splits[split] = _summary(verdicts, setting, evaluated=split != "train" and task in _MEASURED_BY_BOXES)
    if problems:
        cures = {problem.instead for problem in problems}
        raise ConfigError(problems + [problem for problem in unlabelled if problem.instead not in cures])
    notes = [f"{each.found}; {each.instead}" for each in unlabelled]
    if shared := set(images["train"]) & {name for split, names in images.items() if split != "train" for name in names}:
        notes.append(f"{len(shared)} images are both trained on and evaluated on")
    classes = tuple(dataset.names[index] for index in sorted(dataset.names))
    return DatasetReport(str(dataset.file), task.value, classes, splits, tuple(notes), deep)


def _with_lines(verdicts: list[Verdict], paths: Sequence[Path]) -> list[Verdict]:
    """Images that are not there, with the line of the list that names them."""
    if not any(verdict.skipped and not verdict.bytes for verdict in verdicts):
        return verdicts
    places = image_lists.places_of(paths)
    return [
        replace(verdict, skipped=f"{verdict.skipped} (listed in {places[verdict.image]})")
        if verdict.skipped and not verdict.bytes and verdict.image in places
        else verdict
        for verdict in verdicts
    ]


def _summary(verdicts: list[Verdict], setting: Setting, *, evaluated: bool) -> SplitReport:
    good = [verdict for verdict in verdicts if not verdict.skipped]
    labels = [verdict.labels or Labels() for verdict in good]
    total: Counter[int] = Counter()
    for label in labels:
        total.update(label.per_class)
    pictures = not total and all(verdict.labels is not None for verdict in good)
    labelled = len(good) if pictures else sum(bool(label.per_class) for label in labels)
    edges = [label.edges for label in labels if evaluated and (label.edges.boxes or label.edges.flat)]
    return SplitReport(
        images=len(verdicts),
        bytes=sum(verdict.bytes for verdict in verdicts),
        labelled=labelled,
        backgrounds=len(good) - labelled,
        objects=sum(total.values()),
        per_class={
            "item" if setting.rules.single_class else setting.names[index]: total[index] for index in sorted(total)
        },
        duplicates=sum(label.duplicates for label in labels),
        skipped=_skipped(verdicts),
        rewritten=_rewritten(verdicts),
        over_edge=sum(edge.boxes for edge in edges),
        flat=sum(edge.flat for edge in edges),
        attainable=round(1 - sum(edge.missed for edge in edges) / max(sum(total.values()), 1), 4),
        edge_example=check_problems.edge_example(good) if edges else "",
        cure=check_problems.commonest_cause(verdicts, setting),
    )


def _skipped(verdicts: list[Verdict]) -> tuple[str, ...]:
    return tuple(sorted(f"{verdict.image}: {verdict.why()}" for verdict in verdicts if verdict.skipped))


def _rewritten(verdicts: list[Verdict]) -> tuple[str, ...]:
    return tuple(sorted(verdict.image for verdict in verdicts if verdict.rewritten))


def _classes_report(found: ClassFolders, split: str, deep: bool) -> DatasetReport:
    root, named = found.root, dict(zip(found.classes, found.names, strict=True))
    setting = Setting(root, Task.classify, LabelRules(len(named)), {})
    splits, problems = {}, []
    for name, classes in found.splits.items():
        images = [image for files in classes.values() for image in files]
        verdicts = _in_threads(lambda image: judge_alone(image, deep), images)
        problems += check_problems.problems_of_split(name, verdicts, setting, root)
        bad = {verdict.image for verdict in verdicts if verdict.skipped}
        counts = {named[kind]: sum(image not in bad for image in files) for kind, files in classes.items()}
        size, skipped = sum(verdict.bytes for verdict in verdicts), _skipped(verdicts)
        splits[name] = SplitReport(
            len(images), size, len(images) - len(bad), 0, 0, counts, 0, skipped, _rewritten(verdicts)
        )
    if problems:
        raise ConfigError(problems)
    notes = tuple(check_classes.notes(found, split))
    return DatasetReport(str(root), Task.classify.value, found.names, splits, notes, deep)


def _in_threads(judge: Callable[[str], Verdict], images: Sequence[str]) -> list[Verdict]:
    chunks = [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
    with ThreadPoolExecutor(_THREADS) as pool:
        return [
            verdict for part in pool.map(lambda chunk: [judge(image) for image in chunk], chunks) for verdict in part
        ]


def _cached(
    cache: Path | None, key: tuple[object, ...], files: Iterable[str], report: Callable[[], DatasetReport]
) -> DatasetReport:
    """The report of the same question about the same files (names, sizes, times), else a new one, which is kept."""
    if cache is None:
        return report()
    question = hashlib.sha256(repr((VERSION, *key)).encode()).hexdigest()[:24]
    kept, state = cache / "checks" / f"{question}.json", _state(files)
    try:
        content = json.loads(kept.read_text(encoding="utf-8"))
        if content["state"] == state:
            return DatasetReport.from_json(content["report"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none kept, or of another version: made anew below
    made = report()
    with contextlib.suppress(OSError):  # a shared cache may be read-only or full: then the next check is slow too
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, json.dumps({"state": state, "report": made.as_json()}))
    return made


def _state(files: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for file in files:
        try:
            status = Path(file).stat()
            digest.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
        except OSError:
            digest.update(f"{file}\0absent\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
