"""`python -m standin_launcher RUN [NODE_RANK]`: `yoloscale train` of a locked run, with a display.

RUN/standin.json: {"constants": {"module.NAME": value}} sets constants of modules of yoloscale.agent, so that a test
need not wait as long as a cluster may take.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from yoloscale.agent.attempt import Observer
from yoloscale.agent.joining import join_attempts
from yoloscale.agent.nodes import wait_for_first_node
from yoloscale.backends.run_lock import lock
from yoloscale.cli.main import print_problems
from yoloscale.cli.show.display import Display
from yoloscale.cli.show.ending import print_ending
from yoloscale.config.freeze import load
from yoloscale.errors import ConfigError
from yoloscale.launch.here import run_here
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.identity import RunLost


def set_constants(run: RunDirectory) -> None:
    for name, value in json.loads((run.path / "standin.json").read_text()).get("constants", {}).items():
        module, _, constant = name.partition(".")
        holder = importlib.import_module(f"yoloscale.agent.{module}")
        assert hasattr(holder, constant), name
        setattr(holder, constant, value)


def main() -> int:
    run = RunDirectory(Path(sys.argv[1]))
    set_constants(run)
    node_rank = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    try:
        config = load(run.config)
        with Display(run) as display:
            observer = Observer(display.watch, display.say)
            if node_rank:
                announced = wait_for_first_node(run, config, node_rank, print, timeout_s=30)
                lock(run, node_rank=node_rank)
                outcome = join_attempts(run, config, announced, observer, node_rank=node_rank)
            else:
                outcome = run_here(lock(run).with_config(config), observer)
    except ConfigError as error:
        print_problems(error)
        return 2
    except RunLost as lost:
        print(f"yoloscale: {lost}")
        return 1
    print_ending(run, outcome)
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main())
