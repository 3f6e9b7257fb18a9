"""`yoloscale COMMAND …`: finds the command, and turns errors for people into messages and exit codes."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from pathlib import Path

from yoloscale.config.addresses import hidden
from yoloscale.errors import ConfigError, Problem
from yoloscale.exit_codes import BAD_CONFIG, FAILED, FINISHED, INTERRUPTED

COMMANDS = {
    "train": "train a model: run it here, or print what would be run (--dry-run)",
    "predict": "predict images with finished weights, over all ranks: a row for each image",
    "val": "metrics of finished weights on a dataset, over all ranks",
    "runs": "table of runs: state, progress, metric, images/s, where",
    "status": "one run in detail",
    "logs": "what a run, or one of its ranks, has said; -f follows",
    "cancel": "stop a run; its ranks save first",
    "resume": "go on with an unfinished run",
    "report": "results of a sweep or of a prediction: tables and pictures",
    "interrupt": "rehearse a kill or a preemption of a running run",
    "data": "check a dataset, or fetch and render it ahead of a run",
    "wandb": "send runs that were logged offline to W&B; write a W&B sweep",
    "bench": "measure training speed",
}
VERBS = ("train", "predict", "val")
STARTING = (*VERBS, "resume", "bench")  # these start ranks, once
EXAMPLES = """\
  yoloscale train                                            the built-in dataset, from scratch
  yoloscale train model=yolo26n data=coco8 epochs=3          fine-tune released weights
  yoloscale train data=my/data.yaml model=yolo26m imgsz=640 batch=64 device=0,1,2,3
  yoloscale predict model=yolo26n-coco8 source=my/images      the best weights of that run
  yoloscale val model=yolo26n-coco8 data=coco8
  yoloscale logs yolo26n-coco8 -f
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the process's exit code."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(typed)
    except ConfigError as error:
        print_problems(error)
        return BAD_CONFIG
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, head say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:  # a full disk, a folder that may not be written: the machine's fault, and no bug
        print(f"yoloscale: {error}", file=sys.stderr)
        return FAILED


def print_problems(error: ConfigError) -> None:
    """Every problem on lines of its own: the key and what was found, then what to write instead, once for several."""
    count = len(error.problems)
    print("There is a problem:" if count == 1 else f"There are {count} problems:", file=sys.stderr)
    for number, problem in enumerate(error.problems, start=1):
        print(f"  {problem.key}: {problem.found}", file=sys.stderr)
        if number < count and error.problems[number].instead == problem.instead:
            continue
        for line in problem.instead.splitlines():
            print(f"      {line}", file=sys.stderr)


def _dispatch(typed: list[str]) -> int:
    if not typed or typed[0] in ("-h", "--help", "help"):
        print(_help())
        return FINISHED
    if typed[0] in ("-V", "--version", "version"):
        from importlib.metadata import version

        print(f"yoloscale {version('yoloscale')}")
        return FINISHED
    if typed[0] not in COMMANDS:
        raise ConfigError(_unknown(typed))
    _refuse_lost_folder()
    if typed[0] in STARTING:
        from yoloscale.launch.once import refuse_several

        refuse_several(typed)
    module = importlib.import_module(f"yoloscale.cli.{typed[0]}")
    return int(module.main(hidden(typed[1:])))


def _refuse_lost_folder() -> None:
    """Raise ConfigError where the working folder is none any more: most commands read paths from there."""
    try:
        Path.cwd()
    except OSError as error:  # deleted, by its owner or with its file system
        found = f"it was deleted, or cannot be reached any more ({error.strerror})"
        raise ConfigError(Problem("working folder", found, "cd to a folder that is there, and type it again")) from None


def _help() -> str:
    width = max(len(name) for name in COMMANDS)
    listed = "\n".join(f"  {name:<{width}}  {purpose}" for name, purpose in COMMANDS.items())
    return (
        "usage: yoloscale COMMAND [key=value …]\n\n"
        f"{listed}\n\nexamples:\n{EXAMPLES}\n`yoloscale COMMAND --help` tells more; `yoloscale --version` the version"
    )


def _unknown(typed: list[str]) -> Problem:
    if "=" in typed[0]:
        verb = "predict" if any(word.startswith("source=") for word in typed) else "train"
        return Problem("COMMAND", f"{typed[0]!r} is a setting, not a command", f"yoloscale {verb} {' '.join(typed)}")
    if named := [word for word in typed[:3] if word in VERBS]:  # as in `yolo detect train`
        instead = f"yoloscale {named[0]} …; the task follows from the model: model=yolo26n-seg"
        return Problem("COMMAND", " ".join(typed[:2]), instead)
    near = difflib.get_close_matches(typed[0], COMMANDS, n=1)
    hint = f"did you mean `yoloscale {near[0]}`?" if near else "`yoloscale --help` lists the commands"
    return Problem("COMMAND", f"there is no command {typed[0]!r}", hint)
