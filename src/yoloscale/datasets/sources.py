"""From `data=` and `model=` to files: the dataset and the weights that a run reads.

The launcher calls `prepare` and `prepare_weights`, which download and render; workers call `locate` and
`locate_weights`, which only look. Nothing here imports torch or Ultralytics.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from yoloscale.config.addresses import hide
from yoloscale.config.node_paths import expanded, on_node, variables_in
from yoloscale.config.schema import DataConfig, LabelKind, ShapesConfig, Task
from yoloscale.datasets import class_split, foreign_files, packed, trees
from yoloscale.datasets.check import classes as check_classes
from yoloscale.datasets.check import paths as check_paths
from yoloscale.datasets.check import yaml
from yoloscale.datasets.check.yaml import Reads
from yoloscale.datasets.fetch import FetchError, run_fetch
from yoloscale.datasets.shapes import dataset as shapes
from yoloscale.datasets.ultralytics_paths import (
    CLASSIFICATION_NAMES,
    dataset_yamls,
    datasets_folder,
    known_datasets_folder,
)
from yoloscale.datasets.ultralytics_settings import into_cache, kept_weights
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.remarks import Say

_YAML_SUFFIXES = (".yaml", ".yml")


def locate(
    data: DataConfig, task: Task, cache: Path, split: str = "val", opened: str | None = None, *, trains: bool = True
) -> Path:
    """Return the dataset YAML (for classification: the folder of classes) that a worker opens; absolute.

    `opened`: where the launcher has found it below the cache (`origin.opened`); then nothing else is looked for.
    No side effects. Raises ConfigError if it, or what the run trains (if it `trains`) and evaluates (`split`) on, is
    not there.
    """
    reads = Reads(task, split, flips=False, trains=trains)
    if opened is not None:
        source = cache / opened
        if not source.exists():
            found = f"{source}, which {data.source} was opened as when the run was started, is not there"
            again = "`yoloscale resume RUN` opens it again"
            instead = f"{again}; over several nodes, write a paths.cache that all of them see"
            raise ConfigError(Problem("data", found, instead))
        if missing := _missing(source, reads):
            raise _absent(data.source, source, missing, reads)
        return source
    if data.source == "shapes":
        return _existing(shapes.source(data.shapes or ShapesConfig(), task, cache))
    if data.source == "trees":
        _refuse_trees_for(task)
        return _existing(trees.source(cache))
    source = _resolve(packed.locate(hide(on_node("data", data.source)), task, cache), task)
    if missing := _missing(source, reads):
        raise _absent(data.source, source, missing, reads)
    if task.label_kind is LabelKind.folders and class_split.is_unsplit(source):
        return _existing(class_split.locate(source, cache))
    return source


def prepare(
    data: DataConfig, task: Task, cache: Path, say: Say, reads: Reads | None = None, opened: str | None = None
) -> Path:
    """Make the dataset be there: render, fetch or download it if it is not; return what `locate` returns.

    Raises ConfigError where that is impossible. `say` is told what takes time, and what of a YAML is taken otherwise
    than it is written. `reads`: by default what a run of that task reads. `opened`: what a run that goes on was started
    with, below the cache; if that is still there it is taken, whatever has become of its source.
    """
    if opened is not None and (cache / opened).exists():
        if line := packed.remark_on_change(expanded(data.source), cache, cache / opened):
            say(line)
        return _checked(data, cache / opened, reads or Reads(task), say)
    if data.source == "shapes":
        return shapes.render(data.shapes or ShapesConfig(), task, cache, say)
    if data.source == "trees":
        _refuse_trees_for(task)
        return trees.prepare(cache, say)
    source = _resolve(packed.prepare(hide(on_node("data", data.source)), task, cache, say), task)
    source = _checked(data, source, reads or Reads(task), say)
    if task.label_kind is LabelKind.folders and class_split.is_unsplit(source):
        return class_split.prepare(source, cache, say)
    return source


def opened_as(data: DataConfig, cache: Path, source: Path) -> str | None:
    """What `prepare` returned, relative to the cache if it lies there; None for what `data` names itself.

    The YAML in a folder that `data` names is another one: ranks need not look for it.
    """
    if source.is_relative_to(cache):
        return str(source.relative_to(cache))
    return str(source) if Path(data.source) in source.parents else None


def _checked(data: DataConfig, source: Path, reads: Reads, say: Say) -> Path:
    """A dataset whose images are there, downloaded if need be. Raises ConfigError if they are not."""
    missing = _missing(source, reads)
    is_folder = reads.task.label_kind is LabelKind.folders
    if missing and (
        source.name in CLASSIFICATION_NAMES if is_folder else yaml.read(source, datasets_folder, reads).download
    ):
        say(f"downloading the dataset {data.source} to {datasets_folder()}")
        request = source.name if is_folder else str(source)
        try:
            run_fetch(["dataset", request, reads.task.value], say)
        except FetchError as error:
            raise _not_there(data.source, missing, f"; downloading it failed: {error}") from error
        missing = _missing(source, reads)
    if missing:
        raise _absent(data.source, source, missing, reads)
    if not is_folder:
        dataset = yaml.read(source, datasets_folder, reads)
        for line in (*dataset.remarks, *check_paths.remarks(dataset, reads.splits, known_datasets_folder)):
            say(line)
    return source


def outlook(data: DataConfig, task: Task | None, cache: Path) -> list[str]:
    """What `prepare` would convert, unpack, fetch or split, for a dry run; nothing is touched. Raises ConfigError."""
    source = hide(expanded(data.source))
    if source in ("shapes", "trees") or variables_in(source):
        return []
    lines = [line] if (line := packed.outlook(source, cache)) else []
    path = Path(source).expanduser()
    if task is not None and task.label_kind is LabelKind.folders and class_split.is_unsplit(path):
        lines.append(class_split.outlook(path, cache))
    return lines


def locate_weights(name_or_path: str, cache: Path) -> Path:
    """Return the `.pt` file: a path, or a released name in the working folder or in the cache; absolute.

    No side effects. Raises ConfigError if it is not there.
    """
    name_or_path = on_node("model", name_or_path)
    if file := _weights(name_or_path, cache):
        return file
    raise _no_weights(name_or_path, "is neither in the working folder nor in the cache")


def kept_here(name_or_path: str, cache: Path) -> Path | None:
    """As `locate_weights`; None if it is not there, or if its path has a variable that is not set here."""
    return _weights(expanded(name_or_path), cache)


def prepare_weights(name_or_path: str, cache: Path, say: Say) -> Path:
    """As `locate_weights`, but a released name that is not there comes into the cache.

    From the folder where Ultralytics keeps weights by its settings, else it is downloaded.
    """
    name_or_path = on_node("model", name_or_path)
    if file := _weights(name_or_path, cache):
        return file
    if not _is_released_name(name_or_path):
        raise _no_weights(name_or_path, "does not exist")
    name = _with_suffix(name_or_path)
    if kept := kept_weights(name):
        return into_cache(kept, cache / "weights")
    say(f"downloading {name} (once; kept in the cache)")
    try:
        return Path(run_fetch(["weights", name, str(cache / "weights")], say))
    except FetchError as error:
        raise _no_weights(name, f"is not in the cache and could not be downloaded: {error}") from error


def _resolve(source: str, task: Task) -> Path:
    """The YAML or the folder that `source` names, whether or not its images exist; ConfigError if it names nothing."""
    path = Path(source).expanduser()
    if task.label_kind is LabelKind.folders:
        return _resolve_classes(source, path)
    if path.is_dir():
        return _yaml_in(path, task)
    if path.is_file() and path.suffix.lower() in _YAML_SUFFIXES:
        return path.absolute()
    if path.is_file():
        raise ConfigError(foreign_files.problem_of_file(path))
    yamls = dataset_yamls()
    for name in (source, f"{source}.yaml"):
        if name in yamls:
            return yamls[name]
    if source in CLASSIFICATION_NAMES:
        instead = "write a classification model (model=yolo26n-cls)"
        raise ConfigError(Problem("data", f"{source!r} is a classification dataset, the task is {task.value}", instead))
    raise _unknown(source, [*yamls, *(Path(name).stem for name in yamls), "shapes", "trees"])


def _resolve_classes(source: str, path: Path) -> Path:
    if path.is_dir():
        return path.absolute()
    if path.suffix in _YAML_SUFFIXES or f"{source}.yaml" in dataset_yamls():
        instead = "write a folder that holds train/CLASS/ and val/CLASS/, or a name: imagenette, cifar10, mnist, …"
        raise ConfigError(Problem("data", f"{source!r} is a dataset YAML; the task is classify", instead))
    folder = datasets_folder() / source
    if source in CLASSIFICATION_NAMES or (len(path.parts) == 1 and folder.is_dir()):
        return folder.absolute()
    raise _unknown(source, [*CLASSIFICATION_NAMES, "shapes"])


def _yaml_in(folder: Path, task: Task) -> Path:
    """The one dataset YAML in a folder, or the one named as the folder is."""
    # as Ultralytics looks: .yaml before .yml, the folder itself before those in it
    patterns = (f"{below}*{suffix}" for suffix in _YAML_SUFFIXES for below in ("", "**/"))
    files = next((files for pattern in patterns if (files := sorted(folder.glob(pattern)))), [])
    if len(files) > 1:
        files = [path for path in files if path.stem == folder.name] or files
    if len(files) == 1:
        return files[0].absolute()
    if not files and check_classes.looks_like_classes(folder):
        instead = "write a classification model: model=yolo26n-cls"
        raise ConfigError(Problem("model", f"a model for {task.value}, but {folder} holds folders of classes", instead))
    if not files:
        raise ConfigError(foreign_files.problem_of_folder(folder))
    names = ", ".join(str(path.relative_to(folder)) for path in files[:5]) + (", …" if len(files) > 5 else "")
    what = f"{len(files)} YAML files: {names}"
    raise ConfigError(Problem("data", f"the folder {folder} holds {what}", f"write one: data={files[0]}"))


def _missing(source: Path, reads: Reads) -> list[Path]:
    if reads.task.label_kind is LabelKind.folders:
        return [] if source.is_dir() else [source]
    return yaml.read(source, datasets_folder, reads).missing(*reads.splits)


def _absent(written: str, source: Path, missing: list[Path], reads: Reads) -> ConfigError:
    """What to write for paths that do not exist; for a dataset that is downloaded, where it would be."""
    if reads.task.label_kind is not LabelKind.folders:
        dataset = yaml.read(source, datasets_folder, reads)
        if not dataset.download:
            return ConfigError(check_paths.problems_of_missing(dataset, reads.splits, known_datasets_folder()))
    return _not_there(written, missing)


def _existing(path: Path) -> Path:
    if not path.exists():
        instead = "start the run with `yoloscale train`, or fetch it first with `yoloscale data prepare`"
        raise ConfigError(Problem("data", f"{path} is not there yet", instead))
    return path.absolute()


def _refuse_trees_for(task: Task) -> None:
    if task.label_kind is not LabelKind.boxes:
        instead = "write a detection model (model=yolo26n), or data=shapes, which has labels for every task"
        raise ConfigError(Problem("data", f"data=trees has boxes only; the task is {task.value}", instead))


def _unknown(source: str, names: list[str]) -> ConfigError:
    near = difflib.get_close_matches(source, names, n=3)
    instead = "write shapes, trees, an Ultralytics name (coco8) or a path"
    if near:
        instead = f"did you mean {' or '.join(near)}?"
    return ConfigError(Problem("data", f"no dataset and no file {source!r}", instead))


def _not_there(source: str, missing: list[Path], why: str = "") -> ConfigError:
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    folder = datasets_folder()
    instead = f"correct path:, train: and val: in the YAML, or put the images there (datasets folder: {folder})"
    return ConfigError(Problem("data", f"{source!r}: there is no {missing[0]}{more}{why}", instead))


def _with_suffix(name: str) -> str:
    return name if name.endswith(".pt") else f"{name}.pt"


def _is_released_name(name: str) -> bool:
    return Path(name).name == name and "://" not in name


def _weights(name_or_path: str, cache: Path) -> Path | None:
    places = [Path(name_or_path).expanduser(), Path(_with_suffix(name_or_path)).expanduser()]
    if _is_released_name(name_or_path):
        places.append(cache / "weights" / _with_suffix(name_or_path))
    return next((place.absolute() for place in places if place.is_file()), None)


def _no_weights(name: str, found: str) -> ConfigError:
    instead = "write pretrained=false to start from scratch, or model=path/to.pt for weights that you have"
    return ConfigError(Problem("model", f"{name} {found}", instead))
