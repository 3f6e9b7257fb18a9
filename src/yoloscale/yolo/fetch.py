"""`python -m yoloscale.yolo.fetch …`: download datasets and weights with Ultralytics' own downloaders.

    dataset SOURCE TASK    a dataset YAML, or for classification a name; into Ultralytics' datasets folder
    weights NAME FOLDER    a released .pt file
    datasets-folder        where datasets go
    augmentations ITEMS    what Albumentations does not know of them, as JSON: a list of problems; ITEMS are JSON, too
    callbacks FOLDER WORD… what keeps callbacks from being called, as JSON: a list of problems, each with whether
                           it holds in any environment

Progress goes to stderr, one JSON object to stdout: {"answer": …} or {"error": …}.
Exit codes: 0 done, 1 failed, 2 usage.
Any number may run at once: one downloads, the others wait for it; nothing incomplete has its final name.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yoloscale.config.schema import LabelKind, Task
from yoloscale.errors import ConfigError
from yoloscale.system.locks import locked


def dataset(source: str, task: Task) -> str:
    """Download what the dataset lacks, unless another process just did; return its YAML or folder."""
    from ultralytics.utils import DATASETS_DIR

    folder = Path(DATASETS_DIR)
    name = Path(source).stem
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / f".{name}.lock"):
        if task.label_kind is LabelKind.folders:
            _download_classes(source, folder)
            return str(folder / source)
        _download_described(Path(source), folder)
    return source


def weights(name: str, folder: Path) -> str:
    """Download a released file into `folder` unless it is there; return its path."""
    target = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / f".{name}.lock"):
        if not target.is_file():
            _download_weights(name, folder, target)
    return str(target)


def _download_weights(name: str, folder: Path, target: Path) -> None:
    from ultralytics.utils.downloads import attempt_download_asset

    staging = folder / f".{name}.{uuid.uuid4().hex}.partial"
    staging.mkdir()
    before = Path.cwd()
    try:
        os.chdir(staging)  # a bare name: Ultralytics strips quotes from the paths it is given
        file = Path(attempt_download_asset(name)).absolute()
        if not file.is_file():
            raise FileNotFoundError(f"{name} is no released weights file of Ultralytics, or it could not be reached")
        if staging not in file.parents:  # in Ultralytics' own weights folder
            file = Path(shutil.copyfile(file, staging / name))
        file.replace(target)
    finally:
        os.chdir(before)
        shutil.rmtree(staging, ignore_errors=True)


def _download_classes(name: str, folder: Path) -> None:
    from ultralytics.data.utils import check_cls_dataset

    if not (folder / name).is_dir():
        with _staging(folder, name):
            check_cls_dataset(name)


def _download_described(source: Path, folder: Path) -> None:
    """Run the YAML's own `download`: into a staging folder where its data has a folder of its own, else in place."""
    import yaml
    from ultralytics.data.utils import check_det_dataset

    root = Path(str(yaml.safe_load(source.read_text(encoding="utf-8")).get("path") or "."))
    own = not root.is_absolute() and ".." not in root.parts and root.parts and not root.exists()
    if own and not (folder / root).exists():
        with _staging(folder, source.stem):
            check_det_dataset(str(source), autodownload=True)
    else:
        check_det_dataset(str(source), autodownload=True)


@contextmanager
def _staging(folder: Path, name: str) -> Iterator[None]:
    """Within: Ultralytics takes a new folder for its datasets folder; at the end what came moves into the real one.

    Entered with the lock of `name` held. An exception leaves nothing.
    """
    import ultralytics.data.utils
    import ultralytics.utils

    def use(path: Path) -> None:
        for module in (ultralytics.utils, ultralytics.data.utils):
            vars(module)["DATASETS_DIR"] = path

    partial = folder / f".{name}.partial"
    ultralytics.utils.LOGGER.setLevel(logging.ERROR)  # it would warn of missing paths there; progress bars stay
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    partial.mkdir()
    use(partial)
    try:
        yield
        for entry in partial.iterdir():
            if not (folder / entry.name).exists():
                entry.rename(folder / entry.name)
    finally:
        use(folder)
        shutil.rmtree(partial, ignore_errors=True)


def callback_problems(words: Sequence[str], folder: str) -> str:
    """The problems of callbacks, imported as a rank imports them; it may take what torch takes."""
    from yoloscale.yolo import callbacks, runtime

    runtime.prepare(1, allow_pickle=False)
    reasons = callbacks.problems(words, folder)
    return json.dumps([(problem.key, problem.found, problem.instead, is_certain) for problem, is_certain in reasons])


def augmentation_problems(items: Sequence[dict[str, Any]]) -> str:
    """The problems of Albumentations transforms, made here as a rank makes them."""
    from yoloscale.yolo import augmentations

    try:
        augmentations.serialised(items)
    except ConfigError as error:
        return json.dumps([(problem.key, problem.found, problem.instead) for problem in error.problems])
    return "[]"


def _answer(arguments: Sequence[str]) -> str:
    match list(arguments):
        case ["dataset", source, task]:
            return dataset(source, Task(task))
        case ["weights", name, folder]:
            return weights(name, Path(folder))
        case ["datasets-folder"]:
            from ultralytics.utils import DATASETS_DIR

            return str(DATASETS_DIR)
        case ["callbacks", folder, *words]:
            return callback_problems(words, folder)
        case ["augmentations", items]:
            return augmentation_problems(json.loads(items))
    raise ValueError(f"unknown request {list(arguments)}: see the docstring of {__name__}")


def main(arguments: Sequence[str]) -> int:
    """Answer one request; the exit code."""
    standard_output = os.dup(1)
    os.dup2(2, 1)  # Ultralytics logs to stdout, which is for the answer
    code, answer = 0, dict[str, Any]()
    try:
        answer["answer"] = _answer(arguments)
    except ValueError as error:
        code, answer["error"] = 2, str(error)
    except Exception as error:  # downloads fail in many ways; each one ends in a sentence for the person
        sentence = str(error).encode("ascii", "ignore").decode().split("\n")[0].strip()  # without pictographs
        code, answer["error"] = 1, f"{type(error).__name__}: {sentence}"
    os.write(standard_output, (json.dumps(answer) + "\n").encode())
    return code


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)  # not sys.exit: it would wait for a thread that a callback's module has started
