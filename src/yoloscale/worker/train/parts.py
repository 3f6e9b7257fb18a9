"""From a frozen config to the objects of a training run, in the order in which they need each other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from yoloscale.config.check.effects import told_by_file
from yoloscale.config.check.families import family_of_content
from yoloscale.config.locations import cache_folder
from yoloscale.config.node_paths import may_be_weights_of_nodes
from yoloscale.config.plan import BatchPlan, difference, plan, planned_batch, planned_ranks
from yoloscale.config.schema import Config, RunConfig, Task
from yoloscale.data.order import SampleOrder
from yoloscale.data.room import Loading
from yoloscale.datasets.sources import locate, locate_weights
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import HEARTBEAT
from yoloscale.engine.compiler import stay_eager, step_eagerly
from yoloscale.engine.ema import AveragedModel
from yoloscale.engine.precision import Precision, choose
from yoloscale.engine.schedule import Schedule
from yoloscale.engine.step import Stepper
from yoloscale.engine.stop_requests import StopRequests
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs import events, node_data
from yoloscale.runs.directory import RunDirectory
from yoloscale.system import numa
from yoloscale.system.formatting import counted, rank_name
from yoloscale.system.remarks import Say
from yoloscale.system.variables import VISIBLE_GPUS
from yoloscale.worker.train import loading
from yoloscale.yolo import augmentations, datasets
from yoloscale.yolo.callbacks import registry
from yoloscale.yolo.evaluation import UltralyticsEvaluation
from yoloscale.yolo.learner import UltralyticsLearner
from yoloscale.yolo.numerics import allow_tf32, caveat, is_tuned
from yoloscale.yolo.parts import arguments, is_rtdetr, make_trainer
from yoloscale.yolo.samples import UltralyticsSamples, files

T = TypeVar("T")
AUTOMATIC_SHARE, LEAST_SHARE = 0.6, 0.1  # of a GPU's free memory; the first is Ultralytics' for batch=-1
STATE_BYTES, EXACT_BYTES = 16, 8  # of a parameter: flat gradient 4, momentum 4 (MuSGD 8), average 4; exact_reduce


@dataclass
class Parts:
    """Everything a run consists of on one rank."""

    trainer: Any
    learner: UltralyticsLearner
    samples: UltralyticsSamples
    evaluation: UltralyticsEvaluation
    plan: BatchPlan
    order: SampleOrder
    stepper: Stepper
    schedule: Schedule
    precision: Precision
    loading: Loading


def choose_device(config: RunConfig, ranks: Ranks) -> torch.device:
    """The device of this rank, made current."""
    if config.cluster.device.value == "cpu":
        torch.set_num_threads(config.cluster.threads or ranks.cpu_share)
        return torch.device("cpu")
    count = torch.cuda.device_count()
    # srun may show each task its own GPU only, and an instance of a GPU (MIG) is all that a process sees
    is_alone = count == 1 and (ranks.is_task or os.environ.get(VISIBLE_GPUS, "").startswith("MIG-"))
    index = 0 if is_alone else ranks.local_rank
    if index >= count:
        found = f"rank {ranks.rank} on {ranks.host} sees {count} GPUs, with {ranks.local_world_size} ranks on its node"
        raise ConfigError(Problem("cluster.procs_per_node", found, "ask for a GPU for each rank, or write device=cpu"))
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device


def stay_near(device: torch.device, ranks: Ranks) -> Ranks:
    """The rank, on the CPUs beside its GPU from now on. Call it before other threads and processes are started."""
    if device.type != "cuda" or torch.cuda.device_count() < ranks.local_world_size:
        return ranks  # which GPUs the others have is not to be seen from here
    indices = [device.index] if ranks.is_task else list(range(ranks.local_world_size))
    near = [numa.cpus_near(_address(index)) for index in indices]
    return replace(ranks, bound_alike=numa.bind(near, indices.index(device.index)))


def _address(index: int) -> str:
    """A GPU's address on the PCI bus, as the kernel writes it."""
    about: Any = torch.cuda.get_device_properties(index)
    return f"{about.pci_domain_id:04x}:{about.pci_bus_id:02x}:{about.pci_device_id:02x}.0"


def build(
    config: Config,
    run: RunDirectory,
    ranks: Ranks,
    device: torch.device,
    steps: dist.ProcessGroup | None,
    requests: StopRequests,
    say: Say,
) -> Parts:
    """Collective. Model, data, optimiser and evaluation of a run; `say` is told each phase before it starts.

    `steps` is the group that `dist.group.join` returned. What Ultralytics derives from the batch (weight decay, the
    length of an `auto` schedule, args.yaml) comes from the planned one, on any number of ranks. Raises ConfigError.
    """
    say("model")
    if not config.compile:
        stay_eager()
    caches = cache_folder(config.paths)
    trainer, args, task, rtdetr = _trainer(config, run, ranks, device, caches)
    precision = choose(config.amp, device)
    if device.type == "cuda":
        allow_tf32(precision.name != "fp32")
        _warn(run, ranks, caveat(task, rtdetr, args))
    channels_last = _channels_last(config, device)
    learner = UltralyticsLearner(trainer, task, rtdetr, config.seed, channels_last)
    group.broadcast_tensors([*learner.module.parameters(), *learner.module.buffers()])
    say("data")
    batch = _size_batch(config, run, trainer, precision, ranks)
    torch.backends.cudnn.benchmark = is_tuned(config, device)  # not before: Ultralytics sizes no batch with it
    dealt = plan(config, ranks=ranks.world_size, batch=batch)
    samples, evaluation, fitting = _data(config, run, trainer, ranks, caches, dealt.actual.per_rank, say)
    learner.prepare_loss()
    _warn(run, ranks, difference(config, dealt))
    order = _order(config, samples, dealt)
    if not config.cluster.sync_bn or ranks.world_size == 1:
        refuse_single_values(order, trainer.args, learner.stride)
    epochs = config.origin.epochs or config.epochs  # `auto` stays what it was when they are changed
    optimizer = learner.build_optimizer(len(samples), batch, dealt.planned.accumulate, epochs)
    if not config.compile:
        step_eagerly(optimizer)
    average = AveragedModel(learner.module)  # before: it is evaluated and published, with batch norms as they were
    if config.cluster.sync_bn and ranks.world_size > 1:
        learner.synchronise_batch_norm(group.another())
    stepper = Stepper(
        learner,
        average,
        optimizer,
        precision,
        requests,
        steps,
        seed=config.seed,
        channels_last=channels_last,
        exact_reduce=config.cluster.exact_reduce,
    )
    return Parts(trainer, learner, samples, evaluation, dealt, order, stepper, _schedule(args), precision, fitting)


def _trainer(
    config: Config, run: RunDirectory, ranks: Ranks, device: torch.device, caches: Path
) -> tuple[Any, Any, Task, bool]:
    """Ultralytics' trainer with its dataset, its arguments, the task, and whether the model is an RT-DETR."""
    model, pretrained = _sources(config, caches)
    task, rtdetr = config.model.task, is_rtdetr(model)
    assert task is not None, "the launcher writes the task into the frozen config"
    planned = planned_batch(config)
    batch = max(int(planned) // planned_ranks(config), 1) if planned >= 1 else 1
    source = locate(config.data, task, caches, config.split, node_data.opened(run, config))
    args = arguments(config, task, source, model, batch)
    args.pretrained = pretrained
    augmentations.adapt()
    if config.augmentations is not None:
        args.augmentations = augmentations.serialised(config.augmentations)
    callbacks = registry(config.callbacks, config.paths.code)
    trainer = make_trainer(args, task, rtdetr, device, run.path, {"callbacks": callbacks})
    if ranks.is_first:
        trainer.run_callbacks("on_pretrain_routine_start")
    trainer.data = trainer.get_dataset()
    return trainer, args, task, rtdetr


def _warn(run: RunDirectory, ranks: Ranks, message: str | None) -> None:
    if message and ranks.is_first:
        events.warn(run, message)


def _order(config: Config, source: UltralyticsSamples, dealt: BatchPlan) -> SampleOrder:
    """How the images are dealt out. Raises ConfigError for a batch that SyncBN could not be fed with on all ranks."""
    batch, actual, images = dealt.global_batch, dealt.actual, len(source)
    if config.cluster.sync_bn and images < batch:
        found, instead = f"true, and {images} images do not fill one batch of {batch}", "set a smaller batch"
        raise ConfigError(Problem("cluster.sync_bn", found, instead))
    return SampleOrder(
        samples=images,
        batch=actual.forward_batch,
        world_size=actual.ranks,
        accumulate=actual.accumulate,
        seed=config.seed,
        drop_last=bool(config.compile) or config.cluster.sync_bn,
        planned_batch=batch,
        rectangles=source.rectangles,
    )


def refuse_single_values(order: SampleOrder, args: Any, stride: int) -> None:
    """Raise ConfigError, where Ultralytics refuses, too, for a batch of one image of one pixel in the last layers.

    A batch norm has no variance to divide by then.
    """
    smallest = max(stride, int(args.imgsz * (1 - float(args.multi_scale)))) // stride * stride
    if order.fewest > 1 or smallest >= 2 * stride:
        return
    shared = f"{counted(order.used, 'image')} over {counted(order.world_size, 'rank')}"
    found = f"{order.batch}, which leaves a rank a batch of one image: {shared}"
    instead = (
        f"write another batch, or imgsz={2 * stride} or more (with multi_scale, too): at {smallest} that image is one "
        "pixel to the last layers, and their batch norms need two values"
    )
    raise ConfigError(Problem("batch", found, instead))


def _sources(config: Config, caches: Path) -> tuple[str, bool | str]:
    """What Ultralytics builds the model from (weights, or an architecture), and its `pretrained` argument."""
    if config.model.weights:
        return str(locate_weights(config.model.weights, caches)), True
    assert config.model.architecture is not None, "the launcher refuses a model without weights and architecture"
    if isinstance(config.pretrained, str):
        return config.model.architecture, str(locate_weights(config.pretrained, caches))
    return config.model.architecture, config.pretrained


def _channels_last(config: Config, device: torch.device) -> bool:
    """Whether images lie channels-last in memory: faster on CUDA and on x86 CPUs."""
    if config.channels_last is not None:
        return config.channels_last
    return device.type == "cuda" or os.uname().machine in ("x86_64", "AMD64")


def _size_batch(config: Config, run: RunDirectory, trainer: Any, precision: Precision, ranks: Ranks) -> int:
    """Collective. The planned global batch; sized on the GPU at the first start of a run that leaves it open."""
    if (planned := planned_batch(config)) >= 1:
        return int(planned)
    earlier = [event.batch for event in events.history(run) if isinstance(event, events.TrainingStarted)]
    if batch := group.broadcast_object(earlier[0] if earlier else None):
        trainer.batch_size = trainer.args.batch = batch // planned_ranks(config)
        return int(batch)
    trainer.batch_size, trainer.amp = _share_for_batch(config, trainer), precision.dtype is not None
    with group.first_of_run_then_of_nodes(ranks), datasets.signs_of_life():  # it scans the data set too
        fits = int(trainer.auto_batch())
    per_rank = min(group.gather_objects(fits))
    trainer.batch_size = trainer.args.batch = per_rank
    return per_rank * planned_ranks(config)


def _share_for_batch(config: Config, trainer: Any) -> float:
    """The `batch` to size by, less what is not yet on the GPU then."""
    if trainer.device.type != "cuda":
        return config.batch
    free = torch.cuda.mem_get_info(trainer.device)[0] + torch.cuda.memory_reserved(trainer.device)
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    return share_for_batch(config.batch, parameters, free, exact=config.cluster.exact_reduce)


def share_for_batch(batch: float, parameters: int, free_bytes: int, *, exact: bool) -> float:
    """The share of a GPU's free memory that batches may take: the one asked for, less gradients, momentum and average.

    `batch`: -1, for Ultralytics' share, or a share. Those three are made after the batch was sized. Pure.
    """
    share = batch if 0.0 < batch < 1.0 else AUTOMATIC_SHARE
    state_bytes = parameters * (STATE_BYTES + (EXACT_BYTES if exact else 0))
    return max(share - state_bytes / free_bytes, LEAST_SHARE)


def _data(
    config: Config, run: RunDirectory, trainer: Any, ranks: Ranks, caches: Path, per_rank: int, say: Say
) -> tuple[UltralyticsSamples, UltralyticsEvaluation, Loading]:
    """Collective. Training samples, evaluation and loader workers of this rank; `per_rank`: its micro-batch."""
    with group.first_of_run_then_of_nodes(ranks):
        train, validation = datasets.build(trainer)
    datasets.follow_first_rank(validation)
    refuse_unlike(ranks, {"train": files(train), "val": files(validation)})
    share = ranks.cpu_share
    # on a CPU the ranks' own threads have the cores; what is left over may load
    spare = share - torch.get_num_threads() if trainer.device.type == "cpu" else share
    workers = max(min(config.workers, spare), 0)
    if config.cache:
        spared = loading.expected(config, per_rank, workers).memory_bytes * ranks.local_world_size
        sets, folder = (train, validation), caches / "images"
        loading.cache_images(config, run, ranks, sets, trainer.args, folder, threads=share, spared=spared, say=say)
    samples = UltralyticsSamples(train, trainer.args)
    _refuse_other_shapes(ranks, samples)
    if may_be_weights_of_nodes(config):
        for line in told_by_file(config, config, family_of_content(trainer.model.yaml)):
            _warn(run, ranks, line)
    _refuse_other_augmentations(config, ranks, samples)
    fitting = loading.choose(run, ranks, samples, per_rank, workers)
    return samples, UltralyticsEvaluation(trainer, validation, ranks, fitting.workers), fitting


def _refuse_other_augmentations(config: Config, ranks: Ranks, samples: UltralyticsSamples) -> None:
    """Collective. Raise ConfigError unless what is asked for is applied, by the same package on all ranks.

    Ultralytics has transforms of its own where the package is installed, so ranks without it train on other images.
    """
    if config.augmentations and not samples.has_albumentations:
        found = f"{counted(len(config.augmentations), 'transform')}, but the images of this task take none"
        raise ConfigError(Problem("augmentations", found, "leave it out (classify has auto_augment= and erasing=)"))
    unlike = _unlike(ranks, augmentations.installed())
    if unlike is not None and samples.has_albumentations and config.augmentations != []:
        rank, theirs, first, ours = unlike
        instead = "install the same on every node, or write augmentations=[], with which none are applied"
        raise ConfigError(Problem("augmentations", f"{rank} has {theirs}, {first} {ours}", instead))


def _unlike(ranks: Ranks, value: T) -> tuple[str, T, str, T] | None:
    """Collective. The first rank whose value is not that of rank 0, with it, and rank 0 with its own; None: alike."""
    hosts, values = zip(*group.gather_objects((ranks.host, value)), strict=True)
    other = next((rank for rank, one in enumerate(values) if one != values[0]), None)
    return None if other is None else (rank_name(other, hosts[other]), values[other], rank_name(0, hosts[0]), values[0])


def refuse_unlike(ranks: Ranks, images: Mapping[str, Sequence[str]]) -> None:
    """Collective. Raise ConfigError unless all ranks see images of the same names in the same order.

    Each looks for itself, and nodes may have copies of their own: the number of images is that of steps, and ranks of
    different ones would wait for each other.
    """
    for part, paths in images.items():
        digest = blake2b(digest_size=8)
        for path in HEARTBEAT.through(paths):
            digest.update(f"{os.path.basename(path)}\0".encode(errors="surrogateescape"))  # noqa: PTH119  # millions
        if (unlike := _unlike(ranks, (len(paths), digest.hexdigest()))) is not None:
            rank, (others, _), first, (count, _) = unlike
            what = f"{others} images" if others != count else f"{count} images of other names or in another order"
            found = f"{rank} sees {what} in {part}, {first} {count}"
            raise ConfigError(Problem("data", found, "give every node the same copy, and remove *.cache files there"))


def _refuse_other_shapes(ranks: Ranks, samples: UltralyticsSamples) -> None:
    """Collective. Raise ConfigError unless batches of like shapes are the same on all ranks: images of equal shapes."""
    if samples.rectangles is None:
        return
    if (unlike := _unlike(ranks, samples.rectangles.digest())) is not None:
        rank, _, first, _ = unlike
        found = f"{rank} sees training images of other sizes than {first}"
        raise ConfigError(Problem("data", found, "give every node the same copy, and remove *.cache files there"))


def _schedule(args: Any) -> Schedule:
    """From Ultralytics' arguments, after the optimiser was built: `optimizer=auto` changes some of them."""
    return Schedule(
        lrf=args.lrf,
        cosine=args.cos_lr,
        warmup_epochs=args.warmup_epochs,
        warmup_momentum=args.warmup_momentum,
        warmup_bias_lr=args.warmup_bias_lr,
        momentum=args.momentum,
    )
