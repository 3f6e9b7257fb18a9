"""Every argument of the installed Ultralytics, in every way that `yolo train` takes it: its value arrives here.

Where it does not, a table below says so and why; a new release of Ultralytics is checked against it by itself.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from yoloscale.backends.check import validate
from yoloscale.config.compose import flags, refusals
from yoloscale.config.compose.hydra import compose
from yoloscale.config.compose.many import compose_each
from yoloscale.config.compose.words import from_values
from yoloscale.config.resolve import resolve
from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError
from yoloscale.system.machine import Machine

GPUS = Machine(gpu_count=2, cpus=16, has_bf16=True)
BASE = {"model": "yolo26n.yaml", "data": "coco8.yaml"}


def installed() -> Path:
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "cfg"


DEFAULT_YAML = (installed() / "default.yaml").read_text(encoding="utf-8")
DEFAULTS: dict[str, Any] = yaml.safe_load(DEFAULT_YAML)
TYPES: dict[str, str] = dict(re.findall(r"^(\w+):.*?# \(([^)]*)\)", DEFAULT_YAML, re.MULTILINE))
KEYS = [key for key in DEFAULTS if key not in ("cfg", "mode")]

OF_TYPE: dict[str, tuple[Any, ...]] = {
    "bool": (True, False),
    "int": (1, 3, 2.0, -1, False, True),
    "float": (0.5, 0, 1, 1e-3, False, True),
}
DOCUMENTED: dict[str, tuple[Any, ...]] = {
    "task": ("detect", "segment", "pose"),
    "model": ("yolo26n.pt", "yolo26n.yaml"),
    "data": ("coco8.yaml", "coco8"),
    "batch": (-1, 0.7),
    "imgsz": ([64, 48], [96, 128], [128], 320),
    "cache": ("ram", "disk"),
    "device": (0, [0, 1], "cpu", "0,1", "cuda:1", -1, "mps"),
    "project": ("some/folder", 5),
    "name": ("a", 7, "exp/fold1"),
    "optimizer": ("SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSProp", "auto"),
    "amp": ("fp16", "bf16", "fp32", "FP16"),
    "fraction": (0.25, 7, [0.5, 0.25], [5, 3, 0], 1),
    "freeze": (10, [0, 1], ["23.cv2", 3]),
    "multi_scale": (0.25,),
    "compile": ("default", "reduce-overhead", "max-autotune-no-cudagraphs"),
    "split": ("val", "test", "train"),
    "quantize": (8, "int8", 16, 32),
    "classes": (0, [0, 2]),
    "embed": ([1, 2],),
    "format": ("onnx", "engine"),
    "scale": ([0.5, 1.0], [0.25, 2.0]),
    "copy_paste_mode": ("flip", "mixup"),
    "auto_augment": ("randaugment", "autoaugment", "augmix"),
    "distill_model": ("yolo26s.pt",),
    "tracker": ("botsort.yaml",),
    "source": ("0", "some/images"),
}


def _gpus(value: Any) -> Any:
    """None, the CPU, or the numbers of GPUs."""
    if value is None or value == "cpu":
        return value
    parts = value if isinstance(value, list) else str(value).removeprefix("cuda:").split(",")
    return [int(part) for part in parts]


# Where a key of theirs becomes several of ours, or we keep what theirs becomes in training.
BECOMES: dict[str, Callable[[Any], Any]] = {
    "imgsz": lambda value: max(value) if isinstance(value, list) else value,  # a square of the larger side
    "time": lambda value: value or None,  # no hours: no limit
    "cache": lambda value: value or False,
    "pretrained": lambda value: True if value is None else value,
    "data": lambda value: f"{value}".removesuffix(".yaml") + ".yaml",
    "device": _gpus,
}
ARRIVED: dict[str, Callable[[Config], Any]] = {
    "task": lambda config: config.model.task and config.model.task.value,
    "model": lambda config: config.model.weights or config.model.architecture,
    "data": lambda config: config.data.source,
    "project": lambda config: None if config.paths.runs == "runs" else config.paths.runs,
    "name": lambda config: config.name and "/".join([*Path(config.paths.runs).parts[1:], config.name]),
    "device": lambda config: config.cluster.gpus or (None if config.cluster.device.value == "auto" else "cpu"),
}
# What `yolo train` takes and we refuse, at these values (as text), and why; beside `refusals.UNSUPPORTED`.
REFUSED: dict[str, tuple[str, ...]] = {
    "task": ("segment", "pose"),  # of a model for detection; Ultralytics goes on with detection
    "batch": ("0", "False"),  # no images; Ultralytics fails later
    "imgsz": ("1", "3", "2.0", "-1", "True", "False"),  # below one stride
    "device": ("2.0", "-1", "False", "True", "mps", "3"),  # no GPU; two runs would find the same idle one
    "workers": ("-1",),
    "freeze": ("2.0", "-1"),  # Ultralytics freezes nothing
    "classes": ("2.0", "-1", "True", "False"),  # no class
    "resume": ("True",),  # `yoloscale resume`
}
# What we take and Ultralytics does not, as it can mean one thing only.
TAKEN: dict[str, tuple[str, ...]] = {"exist_ok": ("None",), "fraction": ("(0.5, 0.25)", "(5, 3, 0)")}
# Left open, which each fills in by itself: the model, the dataset, the task and size of the model.
NOT_COMPARED = {("model", "None"), ("data", "None"), ("task", "None"), ("imgsz", "None")}


@dataclass(frozen=True)
class Case:
    """One way to say one value of a key: words of a command line, or arguments of Python's."""

    key: str
    value: str
    typed: tuple[str, ...] | str  # JSON of Python's arguments

    def question(self) -> tuple[Any, str]:
        base = {name: value for name, value in BASE.items() if name != self.key}
        if isinstance(self.typed, str):
            return {**base, **json.loads(self.typed)}, self.key
        return [*(f"{name}={value}" for name, value in base.items()), *self.typed], self.key

    def argv(self) -> list[str]:
        """The same for us; one rank where the number of ranks is not the question."""
        typed = self.question()[0]
        ranks = [] if self.key == "device" else ["cluster.procs_per_node=1"]
        return [*(from_values(typed) if isinstance(typed, dict) else typed), *ranks]


def values(key: str) -> Iterator[Any]:
    """The default, what the comment beside it says that there is, and the values that people try."""
    yield from (DEFAULTS[key], None)
    for kind in re.findall(r"\w+", TYPES[key]):
        yield from OF_TYPE.get(kind, ())
    yield from DOCUMENTED.get(key, ())


def spellings(key: str, value: Any) -> Iterator[tuple[str, ...]]:
    yield (f"{key}={value}",)
    yield (f"{key}={value},",)
    yield (f"--{key}={value}",)
    yield (f"{key}=", f"{value}")
    yield (key, f"={value}")
    yield (key, "=", f"{value}")
    yield (f"{key} = {value}",)
    if isinstance(value, list):
        yield (f"{key}={tuple(value)}",)
        yield tuple(f"{key}={value}".split())
    if isinstance(value, str) and key not in ("project", "name"):  # these keep their quotes for `yolo`
        yield (f"{key}='{value}'",)


def cases() -> list[Case]:
    found = list[Case]()
    for key in KEYS:
        for value in values(key):
            found.append(Case(key, str(value), (f"{key}={value}",)))
            if not (key == "device" and isinstance(value, str) and "," in value):
                found.append(Case(key, str(value), json.dumps({key: value})))
        said = [value for value in values(key) if value is not None]
        spelled = [*said[:1], *(value for value in said if isinstance(value, list))]
        found += [Case(key, str(value), words) for value in spelled for words in spellings(key, value)]
    return list(dict.fromkeys(found))


def ask(questions: list[tuple[Any, str]]) -> list[dict[str, Any]]:
    program = Path(__file__).with_name("yolo_oracle.py")
    said = subprocess.run(
        [sys.executable, str(program)], input=json.dumps(questions), capture_output=True, text=True, check=True
    )
    answers: list[dict[str, Any]] = json.loads(said.stdout.splitlines()[-1])
    return answers


@cache
def outcomes() -> dict[str, list[tuple[Case, str]]]:
    """For each key its cases, and in a word how the two compare."""
    found = cases()
    answers = ask([case.question() for case in found])
    argvs = [flags.split(case.argv()).tokens for case in found]  # most spellings are the same from here on
    composed = dict(zip(dict.fromkeys(argvs), compose_each(dict.fromkeys(argvs)), strict=True))
    configs = [composed[argv] for argv in argvs]
    compared: dict[str, list[tuple[Case, str]]] = {key: [] for key in KEYS}
    for case, answer, config in zip(found, answers, configs, strict=True):
        compared[case.key].append((case, outcome(case, answer, config)))
    return compared


def outcome(case: Case, answer: dict[str, Any], config: Config | ConfigError) -> str:
    """`same`, `refused` or `taken` by us alone, or the two values."""
    if isinstance(config, Config) and (problems := validate(resolve(config, GPUS), GPUS)):
        config = ConfigError(problems)
    if isinstance(config, ConfigError):
        return "same" if "error" in answer else "refused"
    if "error" in answer:
        return "taken"
    if case.key in refusals.NOT_OURS:
        return "same"
    theirs = BECOMES.get(case.key, lambda value: value)(answer["value"])
    ours = ARRIVED.get(case.key, lambda config: getattr(config, case.key))(config)
    return (
        "same" if theirs == ours and isinstance(theirs, str) == isinstance(ours, str) else f"{theirs!r}, ours {ours!r}"
    )


def expected(case: Case) -> str:
    texts = {case.value, *(word.partition("=")[2] for word in case.typed if not isinstance(case.typed, str))}
    if texts & {*REFUSED.get(case.key, ())}:
        return "refused"
    return "taken" if texts & {*TAKEN.get(case.key, ())} else "same"


@pytest.mark.parametrize("key", KEYS)
def test_the_value_that_yolo_gets_arrives(key: str) -> None:
    wrong = []
    for case, found in outcomes()[key]:
        is_unsupported = key in refusals.UNSUPPORTED and found == "refused" and case.value != str(DEFAULTS[key])
        is_of_others = key in refusals.WITHOUT_EFFECT and found == "taken"
        if not is_unsupported and not is_of_others and (key, case.value) not in NOT_COMPARED:
            wrong += [(case.typed, found)] if found != expected(case) else []
    assert wrong == []


def test_the_tables_hold_nothing_that_is_the_same_by_now() -> None:
    assert not set(refusals.WITHOUT_EFFECT) & set(refusals.UNSUPPORTED)
    told = {(case.key, case.value): found for key in (*REFUSED, *TAKEN) for case, found in outcomes()[key]}
    assert {pair for pair in told if pair[1] in REFUSED.get(pair[0], ()) and told[pair] != "refused"} == set()
    assert {(key, value) for key, texts in REFUSED.items() for value in texts} <= set(told)


def test_defaults_change_nothing_and_say_nothing() -> None:
    said = list[str]()
    keys = [key for key in KEYS if key not in BASE and key != "imgsz"]
    configs = compose_each([from_values({**BASE, key: DEFAULTS[key]}) for key in keys], None, said.append)
    base = compose(from_values(BASE))
    assert {key: config == base for key, config in zip(keys, configs, strict=True)} == dict.fromkeys(keys, True)
    assert said == []


def test_a_copy_of_the_default_yaml_is_a_file_of_arguments() -> None:
    said = list[str]()
    typed = [f"cfg={installed() / 'default.yaml'}", *from_values(BASE)]
    assert compose(typed, None, said.append) == compose(from_values(BASE))
    assert said == []


def old_spellings() -> set[str]:
    """Names that the installed Ultralytics still takes: those that its handling of old ones has as text."""
    tree = ast.parse((installed() / "__init__.py").read_text(encoding="utf-8"))
    (handling,) = (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "_handle_deprecation"
    )
    pops = [
        node for node in ast.walk(handling) if isinstance(node, ast.Call) and ast.unparse(node.func) == "custom.pop"
    ]
    named = [node.args[0] for node in pops]
    for node in ast.walk(handling):
        named += node.keys if isinstance(node, ast.Dict) else node.elts if isinstance(node, ast.Set) else []
    words = {node.value for node in named if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return words - {"none", "false", "0"}


OLD = sorted(old_spellings())
OLD_VALUES = {
    "end2end": (True, False),
    "line_thickness": (2,),
    "label_smoothing": (0.0, 0.1),
    "crop_fraction": (1.0, 0.5),
}
NEW_NAMES = {"end2end": "nms", "half": "quantize", "int8": "quantize"}


def test_old_spellings_are_found() -> None:
    assert {"half", "int8", "end2end", "label_smoothing", "hide_labels", "boxes"} <= set(OLD)


def test_old_spellings_mean_what_they_mean_to_yolo() -> None:
    found = [(key, value) for key in OLD for value in OLD_VALUES.get(key, (True, False))]
    argvs = [[*from_values(BASE), f"{key}={value}"] for key, value in found]
    argvs += [[*from_values(BASE), "nms=True", "end2end=False"], [*from_values(BASE), "half=True", "quantize=32"]]
    found += [("end2end", False), ("half", True)]
    keys = [NEW_NAMES.get(key, "epochs") for key, _ in found]
    answers = ask(list(zip(argvs, keys, strict=True)))
    for argv, key, answer, config in zip(argvs, keys, answers, compose_each(argvs), strict=True):
        assert isinstance(config, Config), argv
        assert getattr(config, key) == answer["value"], argv
