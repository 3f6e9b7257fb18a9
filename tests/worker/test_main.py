from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from yoloscale.agent.outcome import AgentEnd, outcome_of
from yoloscale.agent.restarts import Restarts
from yoloscale.config.freeze import freeze
from yoloscale.config.schema import ClusterConfig, Config
from yoloscale.distributed.environment import Ranks
from yoloscale.errors import ConfigError
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.progress import Progress
from yoloscale.worker.__main__ import _check_topology, _report


def check(started: int, batch: float = 24, **cluster: int | None) -> None:
    """As in a rank of a run over 3 nodes with 2 ranks each, of which so many ranks were started."""
    frozen = ClusterConfig(nodes=3, procs_per_node=2, planned_ranks=6)
    for key, value in cluster.items():
        setattr(frozen, key, value)
    _check_topology(Config(batch=batch, nbs=24, cluster=frozen), Ranks(world_size=started))


def test_a_rank_of_another_run_opens_no_log_there(tmp_path: Path) -> None:
    """The launcher's rank comes to a folder that was removed, or that another run has by now."""
    (tmp_path / "theirs").mkdir()
    freeze(Config(id="bbbbbbbbbbbb"), tmp_path / "theirs" / "config.yaml")
    for folder in (tmp_path / "removed", tmp_path / "theirs"):
        environment = {**os.environ, "YOLOSCALE_RUN_ID": "aaaaaaaaaaaa", "YOLOSCALE_ATTEMPT": "1"}
        command = [sys.executable, "-m", "yoloscale.worker", str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"the folder {folder} ")
        assert "aaaaaaaaaaaa" in done.stderr
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["theirs", "theirs/config.yaml"]


def test_as_many_ranks_as_were_frozen() -> None:
    check(6)
    with pytest.raises(ConfigError, match="torchrun --nnodes=3 --nproc-per-node=2"):
        check(4)


def test_fewer_nodes_down_to_the_fewest() -> None:
    check(4, min_nodes=2)
    check(2, min_nodes=1)
    for started in (1, 2, 3, 5, 8):
        with pytest.raises(ConfigError, match="torchrun --nnodes=2:3 --nproc-per-node=2"):
            check(started, min_nodes=2)


def test_fewer_nodes_whose_ranks_the_batch_does_not_divide_over() -> None:
    with pytest.raises(ConfigError, match="go on with 1, 2, 3, 6, 9 or 18 ranks"):
        check(4, batch=18, min_nodes=2)
    check(4, batch=-1, min_nodes=2)  # sized by the memory of the GPUs, which is looked at later


def test_a_failure_that_cannot_be_put_on_record_ends_with_its_own_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not by an exception, after which Python would wait for the process group."""
    RunDirectory(tmp_path).events.touch()  # takes no line, as on a full disk
    _report(RunDirectory(tmp_path), Ranks(), 1, ValueError("bad"), "ValueError: bad")
    assert "not recorded" in capsys.readouterr().out


def test_a_rank_without_steps_fails_at_none(tmp_path: Path) -> None:
    """Else the second of its failures would be at the same step as the first, and the end of the run."""
    run = RunDirectory(tmp_path)
    events.begin(run)
    _report(run, Ranks(), 1, ValueError("teapot"), "ValueError: teapot")
    (failed,) = [event for event in events.history(run) if isinstance(event, events.Failed)]
    assert failed.at_step is None
    progress = Progress(attempt=1)
    progress.on_event(failed)
    failure = outcome_of(progress, AgentEnd(exit_code=1, log="", host="here", stop=None)).failure
    assert failure is not None
    assert not Restarts(3).after(failure, 4).after(failure, 4).are_used_up


def test_an_error_of_settings_is_one_on_every_node(tmp_path: Path) -> None:
    """The launcher of another node sees no exit code of this rank: it has the record alone."""
    run, config = RunDirectory(tmp_path), Config(id="aaaaaaaaaaaa")
    config.cluster.procs_per_node = 2
    freeze(config, run.config)
    left_out = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "YOLOSCALE_RUN_ID", "YOLOSCALE_ATTEMPT")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    command = [sys.executable, "-m", "yoloscale.worker", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2, done.stderr
    progress = Progress(attempt=1)
    for event in events.history(run):
        progress.on_event(event)
    outcome = outcome_of(progress, AgentEnd(exit_code=1, log="", host="another", stop=None))
    assert outcome.exit_code == 2
    assert outcome.failure is not None
    assert outcome.failure.error == done.stderr.rstrip("\n")
    assert outcome.failure.error.startswith("cluster: the run is frozen for 2 ranks (1 × 2), 1 were started")


PRINTING = """
import sys
from collections.abc import Callable
from pathlib import Path
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.__main__ import _redirect_output

run = RunDirectory(Path(sys.argv[1]))
_redirect_output(run.rank_log(1, 0))
print("begun")
filler = open(run.path / "filler", "wb", buffering=0)
try:
    while filler.write(bytes(4096)):
        continue
except OSError:
    pass
for _ in range(9):
    print("x" * 5000, flush=True)
    events.warn(run, "checkpoint not saved")
(run.path / "filler").unlink()
filler.close()
print("there is room again")
"""


def test_a_full_disk_takes_a_ranks_words_and_not_the_rank(tmp_path: Path, mount_disk: Callable[..., Path]) -> None:
    """Its log lies on the disk of the checkpoints, and so does what a warning is put on record in."""
    disk = mount_disk(tmp_path / "run", "64k")
    done = subprocess.run([sys.executable, "-c", PRINTING, str(disk)], capture_output=True, check=False)
    log = (disk / "logs" / "attempt-1" / "rank-0.log").read_text()
    assert done.returncode == 0, done.stderr.decode()
    assert log.startswith("begun\n")
    assert log.endswith("there is room again\n")
