"""A `.pt` file is described without running anything in it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from yoloscale.config.schema import Task
from yoloscale.datasets.weights_file import inspect
from yoloscale.datasets.weights_globals import is_known
from yoloscale.errors import ConfigError

MODELS = {
    "yolo26n": Task.detect,
    "yolo26n-seg": Task.segment,
    "yolo26n-sem": Task.semantic,
    "yolo26n-depth": Task.depth,
    "yolo26n-cls": Task.classify,
    "yolo26n-pose": Task.pose,
    "yolo26n-obb": Task.obb,
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of every task, as Ultralytics saves it."""
    from ultralytics import YOLO

    folder = tmp_path_factory.mktemp("weights")
    for name in MODELS:
        YOLO(f"{name}.yaml", verbose=False).save(folder / f"{name}.pt")
    return {name: folder / f"{name}.pt" for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_ultralytics_own_files_are_understood(saved: dict[str, Path], name: str) -> None:
    described = inspect(saved[name])
    assert described.task is MODELS[name]
    assert described.names[0]
    assert {"backbone", "head"} <= set(described.architecture)
    assert described.foreign_globals == ()
    assert described.model_class.startswith("ultralytics.nn.tasks.")
    assert described.version


def test_known_globals_are_those_of_safe_loading(saved: dict[str, Path]) -> None:
    from torch._weights_only_unpickler import _get_allowed_globals
    from ultralytics.nn.tasks import _SafeLoad

    known = {*_get_allowed_globals(), *_SafeLoad._build()}
    assert [name for name in known if not is_known(name)] == []
    for name in ("torch.load", "torch.hub.load", "os.system", "builtins.eval", "ultralytics.utils.checks.check_file"):
        assert not is_known(name), name
    for name in ("torch.nn.modules.module._addindent", "ultralytics.nn.tasks.attempt_load", "torch.nn.Linear.load"):
        assert not is_known(name), name


def test_class_of_the_model_decides_when_nothing_else_says_the_task(saved: dict[str, Path], tmp_path: Path) -> None:
    import torch

    checkpoint = torch.load(saved["yolo26n-pose"], weights_only=False)
    del checkpoint["model"].task
    checkpoint.pop("train_args", None)
    torch.save(checkpoint, tmp_path / "untold.pt")
    assert inspect(tmp_path / "untold.pt").task is Task.pose


def test_it_needs_no_torch(saved: dict[str, Path]) -> None:
    code = (
        "import sys; from pathlib import Path; from yoloscale.datasets.weights_file import inspect;"
        f"inspect(Path({str(saved['yolo26n'])!r})); sys.exit('torch' in sys.modules or 'ultralytics' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=300, check=False).returncode == 0


class Malicious:
    """Runs a command when unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.proof}'",)


def test_a_malicious_file_is_read_and_nothing_is_executed(saved: dict[str, Path], tmp_path: Path) -> None:
    import torch

    proof = tmp_path / "proof"
    torch.save({"model": Malicious(proof)}, tmp_path / "bare.pt")
    checkpoint = torch.load(saved["yolo26n"], weights_only=False)
    torch.save({**checkpoint, "extra": Malicious(proof)}, tmp_path / "hidden.pt")
    assert inspect(tmp_path / "hidden.pt").foreign_globals == ("posix.system",)
    inspect(tmp_path / "bare.pt")
    assert not proof.exists()
    pickle.loads(pickle.dumps(Malicious(proof)))  # the check can fail: unpickling does run it
    assert proof.exists()


def _archive(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return path


def test_files_that_are_no_ultralytics_model_are_refused(saved: dict[str, Path], tmp_path: Path) -> None:
    import torch

    whole = saved["yolo26n"].read_bytes()
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "short.pt").write_bytes(whole[: len(whole) // 2])
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "state.pt")
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "script.pt")
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as archive:
        archive.writestr("readme", "no model")
    _archive(tmp_path / "broken.pt", b"\x80\x02}q\x00(")
    _archive(tmp_path / "typing.pt", pickle.dumps({"model": "a string"}))
    expected = {
        "absent": "no file",
        "text": "begins with 'hello'",
        "empty": "is empty",
        "short": "is cut short",
        "state": "state dict",
        "tensor": "not an Ultralytics checkpoint",
        "script": "TorchScript",
        "other": "torch.save",
        "broken": "damaged structure",
        "typing": "holds no model",
    }
    for name, words in expected.items():
        with pytest.raises(ConfigError) as raised:
            inspect(tmp_path / f"{name}.pt")
        problem = raised.value.problems[0]
        assert words in problem.found, name
        assert problem.key == "model"
        assert problem.instead


def test_a_structure_nested_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        inspect(_archive(tmp_path / "deep.pt", b"\x80\x02" + b"(" * 1000 + b"cos\nsystem\n" + b"R" * 5 + b"."))
