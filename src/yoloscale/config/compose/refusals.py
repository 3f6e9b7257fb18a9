"""Ultralytics arguments and foreign flags that are not taken as they are, each with what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from yoloscale.config.compose.sbatch_options import instead_of
from yoloscale.config.kinds import KINDS, TRAIN
from yoloscale.config.schema.arguments import TrainArguments
from yoloscale.errors import ConfigError, Problem

# Arguments of the schema that training here does not do. They are accepted at Ultralytics' default only.
UNSUPPORTED: dict[str, str] = {
    "quantize": "quantisation-aware training is not supported: train without it, quantise the finished weights with "
    "`yolo export model=RUN/weights/best.pt format=… quantize=8`",
    "distill_model": "knowledge distillation is not supported: leave it out, or use `yolo train`",
    "profile": "it measures exported formats for the loggers of Ultralytics, which do not run here: leave it out, then "
    "`yolo benchmark model=RUN/weights/best.pt`",
}

_PREDICT = "it belongs to prediction: `yolo predict model=RUN/weights/best.pt source=path/to/images{}`"
_EXPORT = "it belongs to export: `yolo export model=RUN/weights/best.pt {}=…`"
_REMOVED = "Ultralytics removed it"

# Arguments of other commands and of older releases, with the value at which nothing is said of them: Ultralytics' own
# default, or the last that it had. At other values they are taken with one line, as `yolo train` takes them.
_PREDICT_ONLY: dict[str, Any] = {
    **dict.fromkeys(("source", "embed", "line_width", "line_thickness")),
    **dict.fromkeys(("stream_buffer", "retina_masks", "show", "save_frames", "save_crop"), False),
    **dict.fromkeys(("hide_labels", "hide_conf"), False),
    **dict.fromkeys(("show_labels", "show_conf", "show_boxes", "boxes"), True),
    **{"vid_stride": 1, "tracker": "tracktrack.yaml"},
}
_EXPORT_ONLY: dict[str, Any] = {
    **dict.fromkeys(("opset", "workspace")),
    **dict.fromkeys(("optimize", "dynamic", "dnn"), False),
    **{"format": "torchscript", "simplify": True},
}
_REMOVED_ONLY: dict[str, Any] = {"label_smoothing": 0.0, "save_hybrid": False, "crop_fraction": 1.0, "keras": False}
WITHOUT_EFFECT: dict[str, Any] = {**_PREDICT_ONLY, **_EXPORT_ONLY, **_REMOVED_ONLY}

# Keys that are no part of the schema, and why.
NOT_OURS: dict[str, str] = {
    **{key: _PREDICT.format(f" {key}=…") for key in _PREDICT_ONLY},
    "source": _PREDICT.format(""),
    **{key: _EXPORT.format(key) for key in _EXPORT_ONLY},
    **dict.fromkeys(_REMOVED_ONLY, _REMOVED),
    "resume": "to go on with a run: `yoloscale resume RUN`, or start it again with the same name= and config; to train "
    "anew: resume=False",
    "exist_ok": "a run is never overwritten: the same name= and config goes on with it, another name= starts anew",
    "save_dir": "write project=FOLDER name=NAME: the run directory is FOLDER/NAME",
    "mode": "the command is the mode: `yoloscale train …`",
    "cfg": "write cfg=path/to/arguments.yaml, a YAML file of arguments of `yolo train`",
    "half": "write amp=true or amp=fp16",
    "int8": UNSUPPORTED["quantize"],
    "end2end": "write nms=false (end to end) or leave it out",
}

# Arguments that the command line rewrites; in a YAML file the keys themselves are written.
WRITTEN_ELSEWHERE: dict[str, str] = {
    "device": "write cluster.device, cluster.gpus and cluster.procs_per_node",
    "project": "write paths.runs",
    "task": "write model.task",
}

# What these keys say when they change nothing; then they are dropped.
HARMLESS: dict[str, tuple[Any, ...]] = {
    "resume": (False, None),
    "exist_ok": (False, None),
    "mode": ("train", None),
    "cfg": (None,),
    "save_dir": (None,),
}

# Flags of torchrun and argparse scripts, without dashes and with underscores. Those of sbatch are in sbatch_options.
FOREIGN_FLAGS: dict[str, str] = {
    "nproc_per_node": "cluster.procs_per_node",
    "nnodes": "cluster.nodes",
    "rdzv_endpoint": "cluster.rdzv_endpoint",
    "master_addr": "cluster.rdzv_endpoint",
    "output_dir": "paths.runs",
    "gpus": "device",
    "devices": "device",
}


_OTHER_PRECISIONS = ("16", "32", "fp16", "fp32", "w16a16", "w32a32")  # of predictions and exported files
_SAID = {
    "exist_ok": "exist_ok={} overwrites no run: the same name= and config goes on with it, another name= starts anew",
    "save_dir": "save_dir={} is left out: name= and project= say where the run goes",
}


@dataclass(frozen=True)
class Foreign:
    """Arguments of Ultralytics that a kind of run has no key for.

    Args:
        instead: why, and what to write, by name.
        without_effect: those that are taken with a line, with the value at which there is none.
        harmless: values at which others change nothing; then they are dropped.
        process: what they have no effect in.
    """

    instead: Mapping[str, str]
    without_effect: Mapping[str, Any]
    harmless: Mapping[str, tuple[Any, ...]]
    process: str


@cache
def foreign(kind: str) -> Foreign:
    """The arguments that are not taken as they are by a kind of run."""
    return _INFERENCE[kind]() if kind in _INFERENCE else Foreign(NOT_OURS, WITHOUT_EFFECT, HARMLESS, "training")


def _of_inference(kind: str, process: str, others: Mapping[str, Any], instead: Mapping[str, str]) -> Foreign:
    """What prediction and evaluation have in common: training's arguments and export's mean nothing to them."""
    own = {field.name for field in fields(KINDS[kind].load_schema())}
    training = {
        field.name: field.default
        for field in fields(TrainArguments)
        if field.name not in own | set(instead) | set(others)
    }
    words = {
        **dict.fromkeys(training, "it belongs to training: `yoloscale train …`"),
        **{key: _EXPORT.format(key) for key in _EXPORT_ONLY},
        **dict.fromkeys(_REMOVED_ONLY, _REMOVED),
        **{key: NOT_OURS[key] for key in ("exist_ok", "save_dir", "end2end")},
        "resume": "to go on with a run: `yoloscale resume RUN`, or start it again with the same name= and config",
        "mode": f"the command is the mode: `yoloscale {kind} …`",
        "cfg": f"write cfg=path/to/arguments.yaml, a YAML file of arguments of `yolo {kind}`",
        "half": "write quantize=16",
        "int8": "write model=path/to/artefact, one that was exported with quantize=8",
        "tracker": "tracking is not done here: `yolo track`",
        **instead,
    }
    without = {**training, **_EXPORT_ONLY, **_REMOVED_ONLY, "tracker": _PREDICT_ONLY["tracker"], **others}
    words = {key: text for key, text in words.items() if key not in own}
    without = {key: value for key, value in without.items() if key not in own}
    return Foreign(words, without, {**HARMLESS, "mode": (kind, None)}, process)


def _of_prediction() -> Foreign:
    instead = {
        "data": "the names of the classes are in the weights",
        "verbose": "there is no line for each image: `yoloscale status RUN` shows how far it is",
        "workers": "write predict.loaders=N: threads of a rank that decode",
        "boxes": "write show_boxes",
        "hide_labels": "write show_labels=false",
        "hide_conf": "write show_conf=false",
        "line_thickness": "write line_width",
    }
    others = {
        **{"data": None, "verbose": True, "workers": 8, "line_thickness": None, "boxes": True},
        **{"hide_labels": False, "hide_conf": False},
    }
    return _of_inference("predict", "prediction", others, instead)


def _of_evaluation() -> Foreign:
    prediction = {key: value for key, value in _PREDICT_ONLY.items() if key != "tracker"}
    instead = dict.fromkeys(prediction, "it belongs to prediction: `yoloscale predict`")
    return _of_inference("val", "validation", prediction, instead)


_INFERENCE = {"predict": _of_prediction, "val": _of_evaluation}


def unsupported(key: str, value: Any, default: Any) -> str | None:
    """Why an argument of the schema is refused at this value; None if it is accepted."""
    if key == "quantize" and str(value).lower() in _OTHER_PRECISIONS:
        return None
    return UNSUPPORTED[key] if key in UNSUPPORTED and value != default else None


def remark(key: str, value: Any, kind: str = TRAIN) -> str | None:
    """The line about an argument that is taken and changes nothing; None where there is nothing to tell.

    Args:
        key: one of those that are foreign to the kind; of training also `quantize`.
        value: Python data, as `literal` reads it.

    Raises ConfigError if it would change something, or is none of its values.
    """
    if key == "quantize":
        has_none = unsupported(key, value, None) is None and value is not None
        line = f"quantize={value} (half=) has no effect in training: amp= is its precision"
        return line if has_none else None
    others = foreign(kind)
    if key in others.without_effect:
        default = others.without_effect[key]
        if isinstance(default, bool) and not isinstance(value, bool):
            raise ConfigError(Problem(key, repr(value), "write true or false, or leave it out"))
        same = value == default
        return None if same else f"{key}={value} has no effect in {others.process}; {others.instead[key]}"
    if any(
        value is harmless or (value == harmless and isinstance(value, str)) for harmless in others.harmless.get(key, ())
    ):
        return None
    if key in _SAID and value is not False:
        return _SAID[key].format(value)
    verb = KINDS[kind].verb
    raise ConfigError(Problem(key, f"{value!r}, but this is no argument of {verb}", others.instead[key]))


def advice(key: str, kind: str = TRAIN) -> str | None:
    """What to write in place of a key that a YAML file of the schema, or a flag, cannot have; None if there is none."""
    others = foreign(kind)
    if key in others.without_effect:
        return f"leave it out; {others.instead[key]}"
    if key.startswith("cluster."):
        return instead_of(key.removeprefix("cluster."))
    return WRITTEN_ELSEWHERE.get(key) or others.instead.get(key)
