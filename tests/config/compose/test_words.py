"""The arguments of files: `cfg=FILE`, and recipes that hold the flat keys of `yolo`."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from yoloscale.config.compose.hydra import compose
from yoloscale.config.compose.words import from_values, words
from yoloscale.config.schema import Config, Device, Task
from yoloscale.errors import ConfigError

WRITTEN = {
    "task": "segment",
    "mode": "train",
    "model": "yolo26n-seg.yaml",
    "data": "coco8-seg.yaml",
    "epochs": 7,
    "imgsz": [96, 64],
    "device": "cpu",
    "project": "out/ul",
    "name": "a",
    "exist_ok": False,
    "time": None,
    "multi_scale": False,
    "freeze": [0, "23.cv2"],
    "format": "torchscript",
    "half": False,
    "lr0": 0.02,
    "cfg": None,
    "tracker": "tracktrack.yaml",
    "save_dir": "runs/segment/a",
}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment").mkdir()
    path = tmp_path / "experiment" / "mine.yaml"
    path.write_text(yaml.safe_dump(WRITTEN, sort_keys=False))
    return path


def arrives(config: Config) -> None:
    assert config.model.task is Task.segment
    assert (config.model.weights, config.data.source) == (None, "coco8-seg.yaml")
    assert (config.epochs, config.imgsz, config.lr0, config.freeze) == (7, 96, 0.02, [0, "23.cv2"])
    assert config.cluster.device is Device.cpu
    assert (config.paths.runs, config.name, config.multi_scale) == ("out/ul", "a", 0.0)


def test_a_file_of_arguments_is_read_as_if_it_was_typed(file: Path) -> None:
    arrives(compose([f"cfg={file}"]))
    arrives(compose(["--cfg", str(file)]))
    arrives(compose([f"--cfg={file}"]))
    arrives(compose(from_values({"cfg": file})))


def test_its_arguments_are_taken_from_python(file: Path) -> None:
    arrives(compose(from_values(yaml.safe_load(file.read_text()))))


def test_its_words_are_taken_as_a_shell_hands_them_over(file: Path) -> None:
    arrives(compose([f"{key}={value}" for key, value in WRITTEN.items()]))


def test_a_recipe_of_flat_keys_is_read_like_it(file: Path) -> None:
    arrives(compose(["--config-dir", str(file.parent.parent), "experiment=mine"]))
    arrives(compose(["--config-dir", str(file.parent.parent), "+experiment=mine"]))


def test_what_is_typed_wins_wherever_it_stands(file: Path) -> None:
    for argv in (["epochs=3", f"cfg={file}"], [f"cfg={file}", "epochs=3"], ["epochs = 3", f"cfg = {file}"]):
        assert compose(argv).epochs == 3


def test_the_task_of_the_files_model_gives_way_to_a_model_that_is_typed(file: Path) -> None:
    assert compose([f"cfg={file}", "model=yolo26n-pose.yaml"]).model.task is Task.pose


@pytest.mark.parametrize("key", ["task", "model.task"])
def test_a_task_counts_on_either_side_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pt").write_bytes(b"")
    for typed in ([f"{key}=segment", "epochs=3", "model=./a.pt"], ["model=./a.pt", f"{key}=segment", "epochs=3"]):
        assert words(words(typed)) == words(typed)
        config = compose(typed)
        assert (config.model.task, config.model.weights, config.epochs) == (Task.segment, str(tmp_path / "a.pt"), 3)


def test_a_run_that_was_resumed_can_be_trained_on(file: Path) -> None:
    """Ultralytics writes into its arguments from which file it went on."""
    file.write_text(yaml.safe_dump({**WRITTEN, "model": "a/last.pt", "resume": "a/last.pt"}))
    assert compose([f"cfg={file}", "model=yolo26n-seg.yaml"]).epochs == 7
    for typed in ([f"cfg={file}"], [f"cfg={file}", "model=yolo26n.yaml", "resume=a/last.pt"]):
        with pytest.raises(ConfigError, match="yoloscale resume RUN"):
            compose(typed)
    file.write_text(yaml.safe_dump({**WRITTEN, "resume": True}))
    with pytest.raises(ConfigError, match="yoloscale resume RUN"):
        compose([f"cfg={file}", "model=yolo26n-seg.yaml"])


def test_one_line_says_what_of_it_is_not_taken(file: Path) -> None:
    said = list[str]()
    compose([f"cfg={file}", "imgsz=64"], None, said.append)
    assert [line.partition("=")[0] for line in said] == ["save_dir"]


@pytest.mark.parametrize(
    ("text", "found"),
    [(None, "there is no such file"), ("- a", "no keys"), ("a: [1\nb: 2", ":2:"), ("a: b: c", ":1:")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str | None, found: str) -> None:
    path = tmp_path / "x.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        compose([f"cfg={path}", "epoch=3"])
    assert [problem.key for problem in raised.value.problems] == ["cfg", "epoch"]
    assert found in raised.value.problems[0].found


def test_all_problems_of_a_file_are_told_at_once_with_its_lines(file: Path) -> None:
    file.write_text("epochs: many\nlearning_rate: 0.1\noptimizer: SGD\ntask: detection\nlrf: much\n")
    with pytest.raises(ConfigError) as raised:
        compose([f"cfg={file}", "batch=x", "lrf=more"])
    assert [problem.key for problem in raised.value.problems] == [f"{file}:2", f"{file}:4", f"{file}:1", "lrf", "batch"]
    assert raised.value.problems[0].found == "learning_rate: no such key"
    with pytest.raises(ConfigError) as raised:
        compose(["--config-dir", str(file.parent.parent), "experiment=mine", "epochs=2"])
    assert {problem.key for problem in raised.value.problems} == {f"{file}:2", f"{file}:4", f"{file}:5"}


@pytest.mark.parametrize("key", ["cluster.nodes", "sweep.search.trials", "seed"])
def test_the_last_value_counts_also_where_it_was_the_first(key: str) -> None:
    last = f"{key}=1"
    assert words([last, f"{key}=2", last])[-1] == last
    assert words(words([last, f"{key}=2", last])) == words([last, f"{key}=2", last])
    assert words(["half=True", "int8=False"]) == ["quantize=16"]


@pytest.mark.parametrize(
    ("typed", "runs", "name"),
    [
        (["name=exp/fold1"], "runs/exp", "fold1"),
        (["name=exp/fold1", "project=out"], "out/exp", "fold1"),
        (["name=a/b/c", "paths.runs=p"], "p/a/b", "c"),
        (["name=model"], "runs", "yolo26n"),
    ],
)
def test_names_as_yolo_reads_them(typed: list[str], runs: str, name: str) -> None:
    config = compose(typed)
    assert (config.paths.runs, config.name) == (runs, name)
