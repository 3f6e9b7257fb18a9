"""The help texts of `yoloscale train`, `predict` and `val`."""

from __future__ import annotations

from yoloscale.config.compose.catalog import read_catalog
from yoloscale.config.kinds import TRAIN
from yoloscale.config.locations import configs_folder

_HELP = """\
usage: yoloscale train [key=value …] [flags]

Every train argument of Ultralytics is a key here, by its own name and with its own default.

  yoloscale train                                              YOLO26n from scratch on rendered images
  yoloscale train data=coco8 model=yolo26n epochs=3            from the released weights
  yoloscale train data=path/to/data.yaml model=yolo26m epochs=100 imgsz=640 batch=64 device=0,1
  yoloscale train experiment=finetune data=path/to/data.yaml   a recipe
  yoloscale train name=first                                   again: resumes it, if it is unfinished

what
  data=         {data} …, path/to/data.yaml, path/to/folder (classification)
  model=        {model} …, and -seg -pose -obb -cls -sem -depth
                yolo26n.yaml: from scratch; path/to/weights.pt, path/to/architecture.yaml
  experiment=   {experiment}
  name=         the run's name; its folder is paths.runs/NAME
  epochs= batch= imgsz= optimizer= lr0= pretrained= freeze= amp= cache= workers= seed= …
                batch is the global one, over all ranks

where
  cluster=      {cluster}
  device=0,1    these GPUs, one rank each; device=cpu
  cluster.procs_per_node=  cluster.nodes=  cluster.rdzv_endpoint=HOST:PORT
  logger=       {logger}
  paths.runs=   paths.cache=

flags
  --dry-run             print what would be started, touch nothing
  --detach              start in the background
  --cfg job             print the composed config; all of Hydra's flags work: --hydra-help
  --config-dir FOLDER   configs of your own beside these
"""


_PREDICT = """\
usage: yoloscale predict model=… source=… [key=value …] [flags]

A row for every image, the same on any number of ranks. Every predict argument of Ultralytics is a key here.

  yoloscale predict model=yolo26n source=path/to/images                     all images below a folder
  yoloscale predict model=RUN source=list.txt conf=0.4 device=0,1           a run's best weights, two GPUs
  yoloscale predict model=path/to/model.onnx source=images.tar,video.mp4    an exported model, several sources
  yoloscale predict name=first model=RUN source=path/to/images              again: goes on, if it is unfinished

what
  model=        RUN, path/to/weights.pt, a released name like yolo26n, or what was exported from one
  source=       folders, 'globs/*.jpg', .txt .csv .parquet lists, .tar files, videos, http:// s3:// gs:// addresses
  predict.save= [coco,txt,pictures,crops]: views of the rows; save= save_txt= save_crop= save_json= add theirs
  predict.exact=true    on CPUs: bit for bit what YOLO(weights).predict finds, instead of the faster kernels
  predict.unit= predict.slice= predict.slice_overlap= predict.column= predict.loaders=
  name=         the run's name; its folder is paths.runs/NAME
  conf= iou= max_det= imgsz= classes= agnostic_nms= retina_masks= embed= quantize= augment= vid_stride= …

where
  cluster=      {cluster}
  device=0,1    these GPUs, one rank each; device=cpu: a rank for each CPU
  cluster.procs_per_node=  cluster.nodes=
  paths.runs=   paths.cache=

"""
_VAL = """\
usage: yoloscale val model=… [data=…] [key=value …] [flags]

Metrics that are the same to the last bit on any number of ranks. Every val argument of Ultralytics is a key here.

  yoloscale val model=RUN                                      a run's best weights, on its own dataset
  yoloscale val model=path/to/weights.pt data=path/to/data.yaml split=test
  yoloscale val model=yolo26n data=coco8 device=0,1 save_json=true

what
  model=        RUN, path/to/weights.pt, a released name like yolo26n, or what was exported from one
  data=         shapes trees coco8 coco imagenet10 …, path/to/data.yaml; left out: the dataset of RUN
  name=         the run's name; its folder is paths.runs/NAME
  split= batch= imgsz= rect= conf= iou= max_det= augment= plots= save_json= classes= single_cls= workers= …

where
  cluster=      {cluster}
  device=0,1    these GPUs, one rank each; device=cpu: a rank for each CPU
  cluster.procs_per_node=  cluster.nodes=
  paths.runs=   paths.cache=

"""
_FLAGS = _HELP[_HELP.index("flags\n  --dry-run") :]


def help_of(kind: str) -> str:
    """The help of a kind of run, on one screen."""
    return train_help() if kind == TRAIN else _filled({"predict": _PREDICT, "val": _VAL}[kind] + _FLAGS)


def train_help() -> str:
    """Commands, groups and the most used keys, on one screen."""
    return _filled(_HELP)


def _filled(text: str) -> str:
    groups = read_catalog([configs_folder()]).groups
    shown = {group: " ".join(groups.get(group, ())) for group in ("experiment", "cluster", "logger")}
    return text.format(data="shapes trees coco8 coco imagenet10", model="yolo26n yolo11s yolov8m rtdetr-l", **shown)
