"""Check a dataset's files before any rank starts: no torch, no numpy, and by default no image is opened.

What training cannot do without is a ConfigError that lists everything. What training skips (corrupt images and label
files) is counted and listed, by the rules of Ultralytics, so that every rank skips the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.schema import Task
from yoloscale.data import check_classes, check_images, check_yaml
from yoloscale.data.check_labels import LabelRules, Labels, read_labels
from yoloscale.data.check_report import DatasetReport, SplitReport
from yoloscale.data.check_yaml import DatasetYaml, Reads
from yoloscale.data.ultralytics_paths import datasets_folder
from yoloscale.system.files import write_whole

VERSION = 1  # of the rules: another number, another cached result
_THREADS = 16  # file systems answer many questions at once, also when few CPUs ask
_CHUNK = 256
_NAMED_FILES = 5  # of a fatal problem


@dataclass(frozen=True)
class _Verdict:
    """One image: why it is skipped (empty if it is not) and what its label holds; None where there is no label."""

    image: str
    bytes: int
    skipped: str
    labels: Labels | None


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

    `deep` opens every image too. With `cache` the result of unchanged files is kept there. Raises ConfigError.
    """
    source = source.absolute()
    if task is Task.classify:
        found = {
            name: check_classes.images_by_class(path)
            for name, path in check_classes.split_folders(source, split).items()
        }
        if problems := check_classes.problems(source, split, found):
            raise ConfigError(problems)
        files = [name for classes in found.values() for images in classes.values() for name in images]
        return _cached(cache, (source, task, split, deep), files, lambda: _classes_report(source, split, found, deep))
    dataset = check_yaml.read(source, datasets_folder, Reads(task, split, single_cls, flips))
    images = _images(dataset, task, split)
    rules = _rules(dataset, task, single_cls)
    labels = [path for names in images.values() for name in names if (path := _label_path(name, dataset, task))]
    key = (source, source.read_bytes(), task, split, deep, single_cls)
    files = [*labels, *(name for names in images.values() for name in names)]
    return _cached(cache, key, files, lambda: _yaml_report(dataset, task, rules, images, deep))


def _images(dataset: DatasetYaml, task: Task, split: str) -> dict[str, list[str]]:
    """Image files by split. Raises ConfigError for paths that do not exist or hold no images."""
    problems = []
    images: dict[str, list[str]] = {}
    for name in dict.fromkeys(("train", split)):
        paths = dataset.splits.get(name, ())
        absent = [path for path in paths if not path.exists()]
        if not paths or absent:
            what = f"there is no {absent[0]}" if absent else f"missing in {dataset.file}"
            problems.append(Problem(f"data.{name}", what, f"correct path: and {name}: in {dataset.file}"))
            continue
        images[name] = check_images.list_images(paths)
        if not images[name]:
            kinds = ", ".join(sorted(check_images.IMAGE_SUFFIXES))
            problems.append(Problem(f"data.{name}", f"no images in {paths[0]}", f"put images there ({kinds})"))
    if problems:
        raise ConfigError(problems)
    return images


def _rules(dataset: DatasetYaml, task: Task, single_cls: bool) -> LabelRules:
    keypoints, dimensions = dataset.kpt_shape or (0, 0)
    return LabelRules(len(dataset.names), task is Task.pose, keypoints, dimensions, single_cls)


def _label_path(image: str, dataset: DatasetYaml, task: Task) -> str | None:
    """The file beside an image that training reads; for masks and depth maps None if there is none."""
    if task is Task.depth:
        return check_images.find_depth(image)
    if task is Task.semantic and dataset.masks_dir:
        return check_images.find_mask(image, dataset.masks_dir)
    return check_images.companion(image, "labels", ".txt")


def _yaml_report(
    dataset: DatasetYaml, task: Task, rules: LabelRules, images: dict[str, list[str]], deep: bool
) -> DatasetReport:
    splits, problems, notes = {}, [], []
    for split, names in images.items():
        verdicts = _in_threads(lambda image: _judge(image, dataset, task, rules, deep), names)
        problems += list(_problems_of_split(split, verdicts, dataset, task))
        splits[split] = _summary(verdicts, dataset.names, rules.single_class)
    if problems:
        raise ConfigError(problems)
    if shared := set(images["train"]) & {name for split, names in images.items() if split != "train" for name in names}:
        notes.append(f"{len(shared)} images are both trained on and evaluated on")
    classes = tuple(dataset.names[index] for index in sorted(dataset.names))
    return DatasetReport(str(dataset.file), task.value, classes, splits, tuple(notes), deep)


def _judge(image: str, dataset: DatasetYaml, task: Task, rules: LabelRules, deep: bool) -> _Verdict:
    try:
        size = Path(image).stat().st_size
    except OSError as error:
        return _Verdict(image, 0, f"cannot be read: {error.strerror}", None)
    reason, shape = check_images.open_image(image) if deep else ("" if size else "is empty", (0, 0))
    path = _label_path(image, dataset, task)
    if reason:
        return _Verdict(image, size, reason, None)
    if task is Task.depth or (task is Task.semantic and dataset.masks_dir):
        what = "depth map" if task is Task.depth else "mask"
        reason = f"has no {what}" if path is None else _judge_picture(path, shape, dataset, task) if deep else ""
        return _Verdict(image, size, reason, Labels())
    assert path is not None
    labels = _read(path, rules)
    return _Verdict(image, size, labels.corrupt if labels else "", labels)


def _judge_picture(path: str, shape: tuple[int, int], dataset: DatasetYaml, task: Task) -> str:
    if task is Task.depth:
        return check_images.open_depth(path, shape)
    largest = max(len(dataset.names) - 1, 1)
    mapped = {value: dataset.label_mapping.get(value, value) for value in range(256)}
    return check_images.open_mask(path, shape, frozenset(v for v, to in mapped.items() if to <= largest or to == 255))


def _read(path: str, rules: LabelRules) -> Labels | None:
    try:
        return read_labels(Path(path).read_text(encoding="utf-8-sig"), rules)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        return Labels(corrupt=str(error))


def _problems_of_split(split: str, verdicts: list[_Verdict], dataset: DatasetYaml, task: Task) -> Iterator[Problem]:
    key, count = f"data.{split}", len(dataset.names)
    outside = [v for v in verdicts if v.labels and v.labels.outside]
    for verdict in outside[:_NAMED_FILES]:
        assert verdict.labels is not None
        assert verdict.labels.outside is not None
        line, kind = verdict.labels.outside
        found = f"{_label_path(verdict.image, dataset, task)} line {line}: class {kind}; names ends at {count - 1}"
        instead = f"write 0 … {count - 1} there, or add the class to names: in {dataset.file}"
        yield Problem(key, found, instead)
    if len(outside) > _NAMED_FILES:
        found = f"{len(outside) - _NAMED_FILES} more files have a class that is not in names"
        yield Problem(key, found, "`yoloscale data check` after mending these shows the next ones")
    if outside:
        return
    good = [verdict for verdict in verdicts if not verdict.skipped]
    if not good:
        reasons = Counter(verdict.skipped for verdict in verdicts).most_common(1)
        found = f"none of the {len(verdicts)} images can be used; most often: {reasons[0][0]}"
        yield Problem(key, found, f"check that these are labels for the task {task.value} (see {verdicts[0].image})")
        return
    if split == "train" and not any(verdict.labels is not None for verdict in good):
        expected = _label_path(verdicts[0].image, dataset, task)
        yield Problem(
            key, f"no image has a label file: there is no {expected}", "put a .txt file of that name for each image"
        )
    if task in (Task.segment, Task.obb, Task.semantic):
        boxes = [v for v in good if v.labels and v.labels.objects and not v.labels.polygons]
        if boxes:
            wanted = "four corners: class x1 y1 … x4 y4" if task is Task.obb else "polygons: class x1 y1 x2 y2 x3 y3 …"
            file = _label_path(boxes[0].image, dataset, task)
            found = f"{len(boxes)} label files hold boxes, not {wanted.split(':')[0]}; the first is {file}"
            yield Problem(key, found, f"the task {task.value} needs {wanted}; with boxes take a detection model")


def _summary(verdicts: list[_Verdict], names: dict[int, str], single_class: bool) -> SplitReport:
    good = [verdict for verdict in verdicts if not verdict.skipped]
    labels = [verdict.labels or Labels() for verdict in good]
    total: Counter[int] = Counter()
    for label in labels:
        total.update(label.per_class)
    pictures = not total and all(verdict.labels is not None for verdict in good)
    labelled = len(good) if pictures else sum(bool(label.per_class) for label in labels)
    return SplitReport(
        images=len(verdicts),
        bytes=sum(verdict.bytes for verdict in verdicts),
        labelled=labelled,
        backgrounds=len(good) - labelled,
        objects=sum(total.values()),
        per_class={"item" if single_class else names[index]: total[index] for index in sorted(total)},
        duplicates=sum(label.duplicates for label in labels),
        skipped=tuple(sorted(f"{verdict.image}: {verdict.skipped}" for verdict in verdicts if verdict.skipped)),
    )


def _classes_report(root: Path, split: str, found: dict[str, dict[str, list[str]]], deep: bool) -> DatasetReport:
    splits = {}
    for name, classes in found.items():
        images = [image for files in classes.values() for image in files]
        verdicts = _in_threads(lambda image: _judge_alone(image, deep), images)
        bad = {verdict.image for verdict in verdicts if verdict.skipped}
        counts = {kind: sum(image not in bad for image in files) for kind, files in classes.items()}
        skipped = tuple(sorted(f"{verdict.image}: {verdict.skipped}" for verdict in verdicts if verdict.skipped))
        size = sum(verdict.bytes for verdict in verdicts)
        splits[name] = SplitReport(len(images), size, len(images) - len(bad), 0, 0, counts, 0, skipped)
    notes = tuple(check_classes.notes(split, found))
    return DatasetReport(str(root), Task.classify.value, tuple(found["train"]), splits, notes, deep)


def _judge_alone(image: str, deep: bool) -> _Verdict:
    size = Path(image).stat().st_size
    reason = check_images.open_image(image)[0] if deep else ("" if size else "is empty")
    return _Verdict(image, size, reason, None)


def _in_threads(judge: Callable[[str], _Verdict], images: Sequence[str]) -> list[_Verdict]:
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
