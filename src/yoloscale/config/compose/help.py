"""The help text of `yoloscale train`."""

from __future__ import annotations

from yoloscale.config.compose.catalog import read_catalog
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


def train_help() -> str:
    """Commands, groups and the most used keys, on one screen."""
    groups = read_catalog([configs_folder()]).groups
    shown = {group: " ".join(groups.get(group, ())) for group in ("experiment", "cluster", "logger")}
    return _HELP.format(data="shapes trees coco8 coco imagenet10", model="yolo26n yolo11s yolov8m rtdetr-l", **shown)
