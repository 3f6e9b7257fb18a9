"""Ultralytics arguments and foreign flags that are not taken as they are, each with what to write instead."""

from __future__ import annotations

from typing import Any

# Arguments of the schema that training here does not do. They are accepted at Ultralytics' default only.
UNSUPPORTED: dict[str, str] = {
    "quantize": "quantisation-aware training is not supported: train without it, quantise the finished weights with "
    "`yolo export model=RUN/weights/best.pt format=… quantize=8`",
    "distill_model": "knowledge distillation is not supported: leave it out, or use `yolo train`",
    "profile": "speed profiling of exported formats is not part of training: leave it out, see `yolo benchmark`",
    "augment": "validation with test-time augmentation is for finished weights: leave it out, then "
    "`yolo val model=RUN/weights/best.pt augment=True`",
    "visualize": "pictures of each false detection are for finished weights: leave it out, then "
    "`yolo val model=RUN/weights/best.pt visualize=True`",
    "save_txt": "label files of the predictions are for finished weights: leave it out, then "
    "`yolo val model=RUN/weights/best.pt save_txt=True`",
    "save_conf": "it belongs to save_txt: leave it out, then `yolo val model=RUN/weights/best.pt save_txt=True "
    "save_conf=True`",
}

_PREDICT = "leave it out; it belongs to prediction: `yolo predict model=RUN/weights/best.pt source=path/to/images {}=…`"
_EXPORT = "leave it out; it belongs to export: `yolo export model=RUN/weights/best.pt {}=…`"
_PREDICT_ONLY = (
    "source vid_stride stream_buffer retina_masks embed show save_frames save_crop show_labels show_conf show_boxes "
    "line_width tracker"
)
_EXPORT_ONLY = "format optimize dynamic simplify opset workspace dnn keras"

# Keys that are no part of the schema.
NOT_OURS: dict[str, str] = {
    **{key: _PREDICT.format(key) for key in _PREDICT_ONLY.split()},
    **{key: _EXPORT.format(key) for key in _EXPORT_ONLY.split()},
    "resume": "to go on with a run: `yoloscale resume RUN`, or start it again with the same name= and config",
    "exist_ok": "a run is never overwritten: the same name= and config resumes it, another name= starts a new one",
    "save_dir": "write paths.runs=FOLDER name=NAME: the run directory is FOLDER/NAME",
    "mode": "the command is the mode: `yoloscale train …`",
    "cfg": "put the arguments into a recipe, FOLDER/experiment/X.yaml, and write --config-dir FOLDER experiment=X",
    "augmentations": "custom Albumentations pipelines are Python objects and cannot travel to the ranks: leave it out",
    "label_smoothing": "Ultralytics removed it: leave it out",
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
HARMLESS: dict[str, tuple[str, ...]] = {
    "resume": ("false", "none", "null"),
    "exist_ok": ("false",),
    "mode": ("train",),
    "source": ("none", "null"),
    "embed": ("none", "null"),
    "show": ("false",),
}

# Flags of torchrun, sbatch and argparse scripts, without dashes and with underscores.
FOREIGN_FLAGS: dict[str, str] = {
    "nproc_per_node": "cluster.procs_per_node",
    "ntasks_per_node": "cluster.procs_per_node",
    "gpus_per_node": "cluster.gpus_per_node",
    "nnodes": "cluster.nodes",
    "nodes": "cluster.nodes",
    "rdzv_endpoint": "cluster.rdzv_endpoint",
    "master_addr": "cluster.rdzv_endpoint",
    "output_dir": "paths.runs",
    "gpus": "device",
    "devices": "device",
}


def unsupported(key: str, value: Any, default: Any) -> str | None:
    """Why an argument of the schema is refused at this value; None if it is accepted."""
    return UNSUPPORTED[key] if key in UNSUPPORTED and value != default else None
