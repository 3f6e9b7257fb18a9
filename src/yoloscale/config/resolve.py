"""Fill in what the person left open and the machine decides, before the config is frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar, overload

from yoloscale.config.schema import (
    ClusterConfig,
    Config,
    Device,
    OriginConfig,
    PredictConfig,
    RunConfig,
    ShapesConfig,
    Task,
    ValConfig,
    View,
)
from yoloscale.config.schema.slurm import CPUS_PER_GPU, gpus_of, is_exclusive, lacks_cpus
from yoloscale.system.machine import Machine, this_machine

_CPU_RANKS = 2
_BF16, _FP32 = "bf16", "fp32"
_PREDICT_CONF, _VAL_CONF, _OBB_CONF = 0.25, 0.001, 0.01  # Ultralytics' where none is given
_PRECISIONS = {
    **dict.fromkeys(("16", "fp16", "w16a16"), 16),
    **dict.fromkeys(("32", "fp32", "w32a32"), None),  # what there is without a word
    **dict.fromkeys(("8", "int8", "w8a8"), 8),
}
_Run = TypeVar("_Run", bound=RunConfig)


def resolve(config: _Run, machine: Machine | None = None) -> _Run:
    """A copy with device, ranks per node, backend and CPU precision filled in; what was given stays.

    The device stays open, for `validate` to refuse, where a SLURM job has nodes for itself and names no GPUs: they may
    have some or none. `cluster.gpus` stays None if no GPUs were named: ranks then use those that are visible, which
    may differ between two starts of the same run. `cluster.threads` is likewise decided at each start, but for
    prediction and evaluation on CPUs, whose last bits depend on it: there it is 1, with a rank for each CPU.
    """
    machine = machine or this_machine()
    return replace(config, **_resolved(config, machine))


def _resolved(config: RunConfig, machine: Machine) -> dict[str, Any]:
    if isinstance(config, Config):
        amp, cluster = config.amp, _resolve_cluster(config.cluster, machine)
        if cluster.device is Device.cpu and amp is True:
            amp = _BF16 if machine.has_bf16 else _FP32  # what automatic mixed precision means on a CPU
        return {"cluster": cluster, "amp": amp, "data": _resolve_data(config)}
    assert isinstance(config, (PredictConfig, ValConfig)), "each kind is resolved in its own way"
    changes: dict[str, Any] = {
        "cluster": _resolve_inference_cluster(config.cluster, machine),
        "quantize": _PRECISIONS.get(str(config.quantize).lower(), config.quantize),
        "conf": _confidence(config, config.model.task),
    }
    if isinstance(config, ValConfig):
        return {**changes, "data": _resolve_data(config)}
    return {**changes, "predict": replace(config.predict, save=_views(config))}


def _resolve_data(config: Config | ValConfig) -> Any:
    data = config.data
    return replace(data, shapes=ShapesConfig()) if data.source == "shapes" and data.shapes is None else data


def _views(config: PredictConfig) -> list[View]:
    """`predict.save` with what Ultralytics' switches ask for, in one order."""
    asked = {
        View.coco: config.save_json,
        View.txt: config.save_txt,
        View.pictures: config.save or config.save_frames,
        View.crops: config.save_crop,
    }
    return [view for view in View if view in config.predict.save or asked[view]]


def _confidence(config: PredictConfig | ValConfig, task: Task | None) -> float | None:
    """Ultralytics' default of the verb, which of an evaluation depends on the task; None while that is not known."""
    if config.conf is not None or isinstance(config, PredictConfig):
        return _PREDICT_CONF if config.conf is None else config.conf
    return None if task is None else _OBB_CONF if task is Task.obb else _VAL_CONF


@overload
def with_checkpoint(config: PredictConfig, task: Task, arguments: Mapping[str, Any]) -> PredictConfig: ...
@overload
def with_checkpoint(config: ValConfig, task: Task, arguments: Mapping[str, Any]) -> ValConfig: ...
def with_checkpoint(config: Any, task: Task, arguments: Mapping[str, Any]) -> Any:
    """A resolved config with what its weights decide, where nobody typed it: task, size, and thresholds by them.

    `arguments` are those that a checkpoint was trained with, or the metadata of an exported model; they may be empty.
    """
    size, changes = config.imgsz, dict[str, Any]()
    if size is None:
        size = arguments.get("imgsz") or task.row.imgsz
        sides = [int(side) for side in size] if isinstance(size, (list, tuple)) else [int(size)]
        size = sides[0] if len(set(sides)) == 1 else max(sides) if isinstance(config, ValConfig) else sides
    if isinstance(config, ValConfig):
        is_single = config.single_cls
        changes["single_cls"] = bool(arguments.get("single_cls")) if is_single is None else is_single
    model = replace(config.model, task=task)
    return replace(config, model=model, imgsz=size, conf=_confidence(config, task), **changes)


def adopt(config: _Run, frozen: _Run) -> _Run:
    """A composed config that takes a run up: what it leaves open is as that run was frozen, on whatever machine.

    What it gives stays, so the two may still differ.
    """
    changes: dict[str, Any] = {"cluster": _adopt_cluster(config.cluster, frozen.cluster)}
    if isinstance(config, Config) and isinstance(frozen, Config):
        is_open = config.amp is True and str(frozen.amp) in (_BF16, _FP32)  # what `true` was resolved to on a CPU
        changes["amp"] = frozen.amp if is_open else config.amp
        # another place is looked at, and relative paths in its YAML are read from where that place is typed
        kept, mine = frozen.origin if config.data.source == frozen.data.source else OriginConfig(), config.origin
        looked_at = mine if mine.dataset else kept
        folder, dataset, opened = mine.folder or kept.folder, looked_at.dataset, looked_at.opened
        changes["origin"] = replace(frozen.origin, folder=folder, dataset=dataset, opened=opened)
    elif isinstance(config, (PredictConfig, ValConfig)):
        keys = ("imgsz", "conf", *(("single_cls",) if isinstance(config, ValConfig) else ()))
        changes |= {key: getattr(frozen, key) for key in keys if getattr(config, key) is None}
        task, cluster = config.model.task or frozen.model.task, changes["cluster"]
        threads = frozen.cluster.threads if cluster.threads is None else cluster.threads
        changes |= {"origin": frozen.origin, "model": replace(config.model, task=task)}
        if isinstance(config, PredictConfig) and isinstance(frozen, PredictConfig) and config.predict.unit is None:
            changes["predict"] = replace(config.predict, unit=frozen.predict.unit)
        changes["cluster"] = replace(cluster, threads=threads)
    return replace(config, **changes)


def _adopt_cluster(cluster: ClusterConfig, frozen: ClusterConfig) -> ClusterConfig:
    device, procs_per_node, gpus, backend = cluster.device, cluster.procs_per_node, cluster.gpus, cluster.backend
    if device is Device.auto and not gpus:
        device = frozen.device
    if procs_per_node is None:
        procs_per_node = len(gpus) if gpus else frozen.procs_per_node
    if device is frozen.device:
        backend = backend or frozen.backend
        if gpus is None and frozen.gpus and procs_per_node is not None and len(frozen.gpus) >= procs_per_node:
            gpus = frozen.gpus[:procs_per_node]
    return replace(
        cluster,
        device=device,
        procs_per_node=procs_per_node,
        gpus=gpus,
        backend=backend,
        planned_ranks=frozen.planned_ranks or frozen.nodes * (frozen.procs_per_node or 1),
    )


def _resolve_cluster(cluster: ClusterConfig, machine: Machine) -> ClusterConfig:
    gpu_count = machine.gpu_count if cluster.is_here else gpus_of(cluster) or 0
    device = cluster.device
    if device is Device.auto:
        is_open = not cluster.is_here and is_exclusive(cluster)
        device = Device.cuda if gpu_count > 0 or cluster.gpus else Device.auto if is_open else Device.cpu
    procs_per_node = cluster.procs_per_node
    if procs_per_node is None and cluster.gpus:
        procs_per_node = len(cluster.gpus)
    if procs_per_node is None:
        procs_per_node = max(gpu_count, 1) if device is Device.cuda else _CPU_RANKS
    backend = cluster.backend or ("nccl" if device is Device.cuda else "gloo")
    cpus = cluster.cpus_per_task
    if not cluster.is_here and device is Device.cuda and lacks_cpus(cluster):
        cpus = CPUS_PER_GPU * gpu_count
    return replace(cluster, device=device, procs_per_node=procs_per_node, backend=backend, cpus_per_task=cpus)


def _resolve_inference_cluster(cluster: ClusterConfig, machine: Machine) -> ClusterConfig:
    resolved = _resolve_cluster(cluster, machine)
    if resolved.device is not Device.cpu:
        return resolved
    threads = cluster.threads or 1
    cpus = machine.cpus if cluster.is_here else cluster.cpus_per_task
    ranks = cluster.procs_per_node or (max(cpus // threads, 1) if cpus else resolved.procs_per_node)
    return replace(resolved, threads=threads, procs_per_node=ranks)


def starting_weights(config: RunConfig) -> str | None:
    """The weights that the run starts from, a released name or a path; None from scratch."""
    if isinstance(config, Config) and isinstance(config.pretrained, str):
        return config.pretrained
    return config.model.weights
