"""What `model=…` and `data=…` stand for: a group option, a name that Ultralytics knows, or a file of one's own."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from yoloscale.config.check import families
from yoloscale.config.compose.catalog import Catalog, task_of_architecture, task_of_name
from yoloscale.config.compose.each_dataset import ALL_AT_ONCE, elements
from yoloscale.config.keys import nearest
from yoloscale.config.kinds import TRAIN
from yoloscale.config.node_paths import expanded, is_of_a_job, variables_in
from yoloscale.config.quoting import quote
from yoloscale.config.schema import PathsConfig, Task
from yoloscale.errors import ConfigError, Problem

_YAML = (".yaml", ".yml")
_EXPORTED = (".onnx", ".engine", ".torchscript", ".tflite", ".mlpackage", ".mlmodel", ".pb", ".mnn", ".pte")
_EXPORTED_FOLDER = re.compile(r".+_(?:openvino|saved|paddle|ncnn|imx|rknn|executorch|axelera|deepx|hailo)_model")
_DATASET = re.compile(r"^(?:train|val|names)\s*:", re.MULTILINE)
_NETWORK = re.compile(r"^\W*(?:backbone|head)\W*:", re.MULTILINE)
_PACKED = (".ndjson", ".zip", ".tar", ".tgz")
_DEPTH = 3  # of what lies in a run: checkpoints/step-000000001/state.pt
_OF_A_RUN = (
    *("weights", "checkpoints", "logs", "job", "events", "config.yaml", "args.yaml", "overrides.yaml"),
    *("results.csv", "result.json", "metrics.jsonl"),
)


def model(word: str, catalog: Catalog) -> list[str]:
    """Hydra overrides for `model=word`; the word is data, already unquoted. Raises ConfigError."""
    word = expanded(word, keeps=is_of_a_job)
    suffix, stem = Path(word).suffix.lower(), Path(word).stem
    if problem := families.of_name(word):
        raise ConfigError(problem)
    if option := catalog.option("model", word):
        return [f"model={option}"]
    if catalog.kind != TRAIN and is_exported(word):
        return _custom_model(Path(word).stem, task_of_name(Path(word).stem), word, None)
    if weights := _weights_of_run(word):
        return _custom_model(weights.parent.parent.absolute().name, None, str(weights), None)
    own_file = _is_own_file(word)
    choice = None if own_file else catalog.option("model", stem)
    if suffix in _EXPORTED:
        instead = f"write the weights that it was exported from: model={Path(word).with_suffix('.pt')}"
        raise ConfigError(Problem("model", f"{word!r} is an exported model, which is not trained", instead))
    if suffix == ".pt":
        if choice:
            return [f"model={choice}", f"model.weights={quote(word)}"]
        task = None if Path(word).expanduser().is_file() else task_of_name(stem)  # a file says it better than its name
        return _custom_model(stem, task, word, None)
    if suffix in _YAML and catalog.kind != TRAIN:
        instead = f"write model=path/to/weights.pt, model=RUN, or model={catalog.option('model', stem) or 'yolo26n'}"
        raise ConfigError(Problem("model", f"{word!r} is an architecture, which has no weights", instead))
    if suffix in _YAML:
        if choice:
            return [f"model={choice}", "model.weights=null"]
        if own_file and not Path(word).is_file():
            instead = "write model=path/to/architecture.yaml"
            raise ConfigError(Problem("model", f"{word!r}: there is no such file", instead))
        file = Path(word) if own_file else catalog.architecture(stem)
        if file is None:
            raise _no_such("model", word, catalog)
        if own_file and (problem := _of_dataset(word)):
            raise ConfigError(problem)
        if problem := families.of_architecture(file):
            raise ConfigError(problem)
        return _custom_model(stem, task_of_architecture(file) or task_of_name(stem), None, word)
    if file := catalog.architecture(word):
        return _custom_model(word, task_of_architecture(file), f"{word}.pt", f"{word}.yaml")
    raise _no_such("model", word, catalog)


def is_exported(word: str) -> bool:
    """Whether the path of a model names one that was exported, which can be run and not trained."""
    path = Path(word)
    return path.suffix.lower() in (*_EXPORTED, ".aimodel") or _EXPORTED_FOLDER.fullmatch(path.name) is not None


def _of_dataset(word: str) -> Problem | None:
    text = Path(word).read_text(encoding="utf-8", errors="replace")
    if _NETWORK.search(text) or not _DATASET.search(text):
        return None
    found = f"{word!r} is a dataset YAML: an architecture has backbone: and head:"
    return Problem("model", found, f"write {shlex.quote(f'data={word}')}, and model=yolo26n or another")


def data(word: str, catalog: Catalog) -> list[str]:
    """Hydra overrides for `data=word`; the word is data, already unquoted. Raises ConfigError."""
    path = Path(word)
    if option := catalog.option("data", word):
        return [f"data={option}"]
    if word and (variables_in(word) or _is_own_file(word) or path.exists()):
        named = Path(word.partition("?")[0].partition("#")[0] if "://" in word else word)  # without what signs it
        return _custom_data(named.stem if named.suffix.lower() in (*_YAML, *_PACKED) else named.name, word)
    stem = path.stem if path.suffix.lower() in _YAML else word
    if option := catalog.option("data", stem):
        return [f"data={option}"]
    if installed := catalog.datasets.get(stem.lower()):
        return _custom_data(installed.stem, installed.name)
    several = elements(word) or ([part.strip() for part in word.split(",")] if "," in word else [])
    if len(several) == 1:
        return data(several[0], catalog)
    if several:
        each = f"for a run of each, write yoloscale train data=[{','.join(several)}]"
        raise ConfigError(Problem("data", f"{word!r} for one run", f"{each}; {ALL_AT_ONCE}"))
    raise _no_such("data", word, catalog)


def _is_own_file(word: str) -> bool:
    """A path with a folder in it, or a file in the working folder. Released weights are looked for there anyway."""
    path = Path(word)
    return len(path.parts) > 1 or (path.suffix.lower() in _YAML and path.is_file())


def _weights_of_run(word: str) -> Path | None:
    """The best weights of the run, ours or Ultralytics', whose folder, or what lies in it, is named; else None.

    A name is looked for in the working folder, then in the usual folder of runs. Raises ConfigError for a run that has
    no weights yet, and for a checkpoint, which is no weights.
    """
    path = Path(word).expanduser()
    place = path if len(path.parts) > 1 or path.is_dir() else Path(PathsConfig().runs) / path
    if not word or not place.exists():
        return None
    for folder in (place, *list(place.parents)[:_DEPTH]):
        inner = place.relative_to(folder).parts[:1]
        is_ours = (folder / "config.yaml").is_file() and (folder / "job").is_dir()
        if (is_ours or (folder / "args.yaml").is_file()) and (not inner or inner[0] in _OF_A_RUN):
            return _weights_in(word, folder, place)
    return None


def _weights_in(word: str, folder: Path, place: Path) -> Path | None:
    """The weights of a run that `place`, its folder or what lies in it, stands for; None: it is weights itself."""
    weights = next((file for name in ("best.pt", "last.pt") if (file := folder / "weights" / name).is_file()), None)
    is_checkpoint = "checkpoints" in place.relative_to(folder).parts
    if place.suffix == ".pt" and place.is_file() and not is_checkpoint:
        return None
    resume = f"`yoloscale resume {shlex.quote(str(folder))}`"
    if weights is None:
        found = f"{word!r} is a run without weights, which come with its first epoch"
        raise ConfigError(Problem("model", found, f"{resume} goes on with it; after its first epoch it has some"))
    if is_checkpoint:
        instead = f"write {shlex.quote(f'model={weights}')}; {resume} goes on from it"
        raise ConfigError(Problem("model", f"{word!r} is a checkpoint, a state of training and no weights", instead))
    return weights


def _custom_model(name: str, task: Task | None, weights: str | None, architecture: str | None) -> list[str]:
    values = {"name": name, "task": task, "weights": weights, "architecture": architecture}
    return ["model=custom", *(f"model.{key}={quote(value)}" for key, value in values.items())]


def _custom_data(name: str, source: str) -> list[str]:
    return ["data=custom", f"data.name={quote(name)}", f"data.source={quote(source)}"]


def _no_such(group: str, word: str, catalog: Catalog) -> ConfigError:
    names = [*catalog.groups.get(group, ()), *(catalog.architectures if group == "model" else catalog.datasets)]
    near = nearest(Path(word).stem if Path(word).suffix in (*_YAML, ".pt") else word, names, count=3)
    near = [name for name in near if name not in ("custom", "default")]
    example = "path/to/weights.pt or path/to/architecture.yaml" if group == "model" else "path/to/data.yaml"
    found = "nothing" if not word else f"{word!r}, which is no {group} known here and no path"
    meant = f"write {group}={near[0]}" + (f" (or {', '.join(near[1:])})" if near[1:] else "") if near else ""
    return ConfigError(Problem(group, found, f"{meant}, or {group}={example}" if meant else f"write {group}={example}"))
