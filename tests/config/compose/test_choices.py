from __future__ import annotations

from pathlib import Path

import pytest

from yoloscale.config.compose import choices
from yoloscale.config.compose.catalog import Catalog
from yoloscale.errors import ConfigError

CATALOG = Catalog(groups={"model": ("custom", "yolo26n"), "data": ("custom", "coco8")})


def make(folder: Path, *weights: str, is_ours: bool = True) -> None:
    (folder / "weights").mkdir(parents=True)
    for name in weights:
        (folder / "weights" / name).touch()
    (folder / "args.yaml").touch()
    if is_ours:
        (folder / "config.yaml").touch()
        (folder / "job").mkdir()


@pytest.fixture(autouse=True)
def _stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def chosen(word: str) -> dict[str, str]:
    pairs = (override.partition("=") for override in choices.model(word, CATALOG))
    return {key.removeprefix("model."): value.strip("'") for key, _, value in pairs}


@pytest.mark.parametrize("is_ours", [True, False])
@pytest.mark.parametrize("inner", ["", "/", "/weights", "/args.yaml", "/config.yaml"])
def test_a_run_is_its_best_weights(is_ours: bool, inner: str) -> None:
    make(Path("runs/my run"), "best.pt", "last.pt", is_ours=is_ours)
    if is_ours or inner != "/config.yaml":
        found = chosen(f"runs/my run{inner}")
        assert (found["weights"], found["name"]) == ("runs/my run/weights/best.pt", "my run")
        assert found["architecture"] == "null"


def test_a_run_is_found_by_its_name_and_from_within() -> None:
    make(Path("runs/first"), "best.pt")
    assert chosen("first")["weights"] == "runs/first/weights/best.pt"
    make(Path("yolo26n"), "best.pt")
    assert choices.model("yolo26n", CATALOG) == ["model=yolo26n"], "a model's name is the model"


def test_before_there_is_a_best_epoch_the_last_one_is_taken() -> None:
    make(Path("runs/a"), "last.pt")
    assert chosen("runs/a")["weights"] == "runs/a/weights/last.pt"


def test_weights_that_are_named_are_those() -> None:
    make(Path("runs/a"), "best.pt", "last.pt")
    assert chosen("runs/a/weights/last.pt")["weights"] == "runs/a/weights/last.pt"


@pytest.mark.parametrize(
    ("inner", "said", "instead"),
    [
        ("", "without weights", "yoloscale resume runs/a"),
        ("/weights", "without weights", "yoloscale resume runs/a"),
        ("/checkpoints/step-000000007", "a checkpoint", "model=runs/a/weights/last.pt"),
        ("/checkpoints/step-000000007/state.pt", "a checkpoint", "yoloscale resume runs/a"),
    ],
)
def test_what_is_no_weights_says_what_to_write(inner: str, said: str, instead: str) -> None:
    make(Path("runs/a"), *(["last.pt"] if "checkpoints" in inner else []))
    state = Path("runs/a/checkpoints/step-000000007/state.pt")
    state.parent.mkdir(parents=True)
    state.touch()
    with pytest.raises(ConfigError) as error:
        choices.model(f"runs/a{inner}", CATALOG)
    assert said in error.value.problems[0].found
    assert instead in error.value.problems[0].instead


def test_files_beside_a_run_are_none_of_its() -> None:
    make(Path(), "best.pt", is_ours=False)  # standing in a run of Ultralytics'
    Path("mine.yaml").touch()
    assert chosen("./mine.yaml")["architecture"] == "./mine.yaml"
    assert choices.model("yolo26n", CATALOG) == ["model=yolo26n"]
    with pytest.raises(ConfigError, match="no model known here"):
        choices.model("absent/yolo", CATALOG)


@pytest.mark.parametrize("word", ["best.onnx", "out/yolo26n.engine", "gone.TORCHSCRIPT"])
def test_an_exported_model_is_told_as_one(word: str) -> None:
    with pytest.raises(ConfigError) as error:
        choices.model(word, CATALOG)
    (problem,) = error.value.problems
    assert problem.found == f"{word!r} is an exported model, which is not trained"
    assert problem.instead.endswith(f" model={Path(word).with_suffix('.pt')}")


def test_a_dataset_is_no_architecture() -> None:
    Path("parts.yaml").write_text("path: parts\ntrain: images\nval: images\nnames: [a]\n")
    with pytest.raises(ConfigError) as error:
        choices.model("parts.yaml", CATALOG)
    (problem,) = error.value.problems
    assert "is a dataset YAML" in problem.found
    assert problem.instead.startswith("write data=parts.yaml, ")
    Path("net.yaml").write_text("nc: 1\nnames: [a]\nbackbone: []\nhead: [[-1, 1, Detect, [nc]]]\n")
    assert chosen("net.yaml")["architecture"] == "net.yaml"
