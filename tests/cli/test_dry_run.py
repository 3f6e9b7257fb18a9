"""What a dry run says of the weights that it finds: the same as the start."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from yoloscale.cli.train import main
from yoloscale.errors import ConfigError

FOLDS = ["-m", "lr0=0.1,0.2", "optimizer=SGD"]


def weights(path: Path, model_class: str) -> str:
    """A `.pt` file that holds a model of that class, without a state."""
    module, _, name = model_class.rpartition(".")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", f"(dS'model'\nc{module}\n{name}\n)\x81s.".encode("latin-1"))
    return str(path)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLOSCALE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("where", [[], ["cluster=slurm"], FOLDS, [*FOLDS, "cluster=slurm"]])
@pytest.mark.parametrize(
    ("model_class", "said"),
    [
        ("ultralytics.nn.tasks.WorldModel", "is YOLO-World"),
        ("models.yolo.Model", "is a YOLOv5 or YOLOv7 model of its own repository"),
        ("mylab.nets.DetectionModel", "wants to run code from outside Ultralytics"),
    ],
)
def test_weights_that_the_start_refuses(tmp_path: Path, model_class: str, said: str, where: list[str]) -> None:
    path = weights(tmp_path / "mine.pt", model_class)
    words = [f"model={path}", "device=cpu", *where]
    for also in (["--dry-run"], []):
        with pytest.raises(ConfigError) as refused:
            main([*words, *also])
        (problem,) = refused.value.problems
        assert said in problem.found
    assert not (tmp_path / "runs").exists()


def test_weights_that_are_not_here_are_not_fetched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model=yolo26n", "device=cpu", "--dry-run"]) == 0
    assert "downloading" not in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_weights_that_may_be_trained_are_no_problem(tmp_path: Path) -> None:
    path = weights(tmp_path / "mine.pt", "ultralytics.nn.tasks.DetectionModel")
    assert main([f"model={path}", "device=cpu", "--dry-run"]) == 0
