"""`yoloscale predict` and `val` as a person types them; ranks are stand-ins that leave empty parts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.finished_weights import write_images, write_weights
from tests.launched import SOURCE, STANDIN
from tests.run_events import lines_of

from yoloscale.backends.run_lock import lock
from yoloscale.runs.directory import RunDirectory

PREDICT = ["predict", "model=mine.pt", "source=images", "device=cpu", "cluster.procs_per_node=1", "predict.unit=1"]
UNITS = 6
ELEMENT = {
    "SLURM_JOB_ID": "41",
    "SLURM_ARRAY_JOB_ID": "40",
    "SLURM_ARRAY_TASK_ID": "3",
    "SLURM_JOB_NUM_NODES": "1",
    "PATH": "/nowhere",  # there is no SLURM
}


class Terminal:
    """A folder with weights and images, and commands typed there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.started = folder, list[subprocess.Popen[str]]()
        paths = os.pathsep.join([str(STANDIN), str(SOURCE)])
        self.environment = {**os.environ, "PYTHONPATH": paths, "YOLOSCALE_CACHE": str(folder / "cache")}
        write_weights(folder / "mine.pt")
        write_images(folder / "images", UNITS)

    def start(self, *typed: str) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        command = [sys.executable, "-m", "yoloscale", *typed]
        self.started.append(subprocess.Popen(command, cwd=self.folder, env=self.environment, **pipes))
        return self.started[-1]

    def type(self, *typed: str) -> tuple[int, str]:
        process = self.start(*typed)
        said, _ = process.communicate(timeout=300)
        return process.returncode, said

    def run(self, name: str, **script: Any) -> RunDirectory:
        """The run of that name, made and not started, whose ranks do as the script says."""
        code, said = self.type(*PREDICT, f"name={name}", "cluster=slurm", "--prepare")
        assert code == 0, said
        run = RunDirectory(self.folder / "runs" / name)
        (run.path / "standin.json").write_text(json.dumps(script))
        return run

    def status(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.type("status", name, "-o", "json")[1])
        return answer


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.communicate()


def wait_for(has_come: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not has_come():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def told(run: RunDirectory, kind: str) -> list[dict[str, Any]]:
    return [line for line in lines_of(run) if line["event"] == kind]


def parts(run: RunDirectory) -> int:
    return len(list(run.predictions.glob("part-*.parquet")))


def test_a_prediction_from_start_to_end(terminal: Terminal) -> None:
    code, said = terminal.type(*PREDICT)
    assert code == 0, said
    run = RunDirectory(terminal.folder / "runs" / "mine-predict")
    assert "plan  1 rank × 1 thread, units of 1 image\n" in said
    assert f"predicting: {UNITS} images in {UNITS} units\n" in said
    ending = f"mine-predict is finished: {UNITS} images, 2 unreadable (runs/mine-predict/failures.csv), 81.3 images/s\n"
    assert ending in said
    assert "rows     runs/mine-predict/predictions\n" in said
    assert parts(run) == UNITS
    entry = terminal.status("mine-predict")
    assert (entry["kind"], entry["state"], entry["images"], entry["images_done"]) == (
        "predict",
        "finished",
        UNITS,
        UNITS,
    )
    assert f"finished  {UNITS}/{UNITS} images" in terminal.type("runs")[1]
    code, said = terminal.type(*PREDICT, "name=mine-predict")
    assert code == 2
    assert "yoloscale predict model=mine.pt" in said


@pytest.mark.long
def test_a_second_terminal_takes_part(terminal: Terminal) -> None:
    run = terminal.run("x", until="go", unit_s=0.05)
    first = terminal.start(*PREDICT, "name=x")
    wait_for(lambda: bool(told(run, "prediction_started")))
    late = terminal.start(*PREDICT, "name=x", "cluster.procs_per_node=2")
    wait_for(lambda: len(told(run, "joined")) == 2)
    assert sorted(line["rank"] for line in told(run, "joined")) == [1, 2]
    assert terminal.status("x")["where"].endswith(": 3 × cpu")
    assert terminal.type("interrupt", "x", "--kill", "--rank", "2")[0] == 0, "a late rank dies alone"
    (run.path / "go").touch()
    assert first.wait(300) == 0
    said, _ = late.communicate(timeout=300)
    assert late.returncode == 0, said
    assert "run 'x' goes on already: the ranks here take part in it" in said
    assert len(told(run, "attempt_launched")) == 1
    assert len(told(run, "finished")) == 1


@pytest.mark.long
def test_another_command_of_the_same_name_takes_no_part(terminal: Terminal) -> None:
    run = terminal.run("x", until="go")
    first = terminal.start(*PREDICT, "name=x")
    wait_for(lambda: bool(told(run, "prediction_started")))
    code, said = terminal.type(*PREDICT, "name=x", "conf=0.9")
    assert code == 2
    assert "conf: 0.25 in run 'x' → 0.9 now" in said
    code, said = terminal.type("resume", "x")
    assert code == 2
    assert "run 'x' is being predicted already" in said
    (run.path / "go").touch()
    assert first.wait(300) == 0


@pytest.mark.long
def test_cancelled_with_late_ranks_and_resumed(terminal: Terminal) -> None:
    run = terminal.run("x", until="go")
    first = terminal.start(*PREDICT, "name=x")
    wait_for(lambda: parts(run) == UNITS)
    late = terminal.start(*PREDICT, "name=x")
    wait_for(lambda: len(told(run, "joined")) == 1)
    assert terminal.type("cancel", "x")[0] == 0
    assert first.wait(300) == 130
    said, _ = late.communicate(timeout=300)
    assert late.returncode == 130
    assert "the run is cancelled: yoloscale status runs/x\n" in said
    assert terminal.status("x")["state"] == "cancelled"
    (run.path / "go").touch()
    code, said = terminal.type("resume", "x")
    assert code == 0, said
    assert f"{UNITS} of them done before" in said


@pytest.mark.long
def test_restarts_count_parts_and_not_checkpoints(terminal: Terminal) -> None:
    """A rank that dies at each of its units is started again as long as others come along."""
    run = terminal.run("x", **{"break": {"rank": 0, "how": "SIGKILL", "unit": 3}})
    code, said = terminal.type(*PREDICT, "name=x", "cluster.max_restarts=2")
    assert code == 1
    assert "restarting from its 3 parts (1 of 2 without progress)" in said
    assert "given up after 2 restarts from 3 parts without progress" in said.replace("Given up", "given up")
    assert [line["step"] for line in told(run, "restarted")] == [3, 3]
    (run.path / "standin.json").write_text("{}")
    assert terminal.type("resume", "x")[0] == 0
    assert parts(run) == UNITS


@pytest.mark.long
def test_in_the_background_and_stopped_by_a_file(terminal: Terminal) -> None:
    run = terminal.run("x", until="go")
    code, said = terminal.type(*PREDICT, "name=x", "--detach")
    assert code == 0, said
    wait_for(lambda: parts(run) == UNITS)
    run.stop_request.touch()
    wait_for(lambda: terminal.status("x")["state"] == "preempted")
    assert not run.stop_request.exists()
    assert told(run, "preempted")[-1]["step"] == UNITS


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["predict", "-m", "model=mine.pt", "source=images", "conf=0.1,0.2"], "`yoloscale predict` once for each run"),
        (["val", "-m", "model=mine.pt", "data=shapes", "conf=0.1,0.2"], "`yoloscale val` once for each run"),
        (["detect", "predict", "model=mine.pt"], "yoloscale predict …; the task follows from the model"),
        (["source=images", "model=mine.pt"], "yoloscale predict source=images model=mine.pt"),
        ([*PREDICT, "--node-rank", "1"], "1 of 1 nodes"),
        ([*PREDICT, "--prepare"], "without cluster=slurm"),
        (["predict", "model=gone.pt", "source=images"], "gone.pt"),
        (["predict", "model=mine.pt", "source=gone", "device=cpu"], "gone"),
    ],
)
def test_usage_errors_are_messages_and_leave_nothing(terminal: Terminal, typed: list[str], said: str) -> None:
    code, told = terminal.type(*typed)
    assert code == 2, told
    assert said in told
    assert "Traceback" not in told
    assert not [*terminal.folder.glob("runs/*")]


def test_a_script_for_slurm_makes_the_run_by_its_own_verb(terminal: Terminal) -> None:
    code, said = terminal.type(*PREDICT, "cluster=slurm", "cluster.nodes=2", "name=x", "--dry-run")
    assert code == 0
    assert "-m yoloscale predict model=mine.pt source=images device=cpu cluster.procs_per_node=1" in said
    assert "#SBATCH --nodes=2\n" in said
    code, said = terminal.type("val", "model=mine.pt", "data=shapes", "cluster=slurm", "device=cpu", "--dry-run")
    assert code == 0
    assert "-m yoloscale val model=mine.pt data=shapes" in said
    assert not (terminal.folder / "runs").exists()


def test_elements_that_start_together_make_one_run(terminal: Terminal) -> None:
    """Each finds no folder, and prepares it; all but one wait until it is there."""
    terminal.environment |= ELEMENT
    elements = [terminal.start(*PREDICT, "name=x", "cluster=slurm", "--prepare") for _ in range(4)]
    for element in elements:
        said, _ = element.communicate(timeout=300)
        assert element.returncode == 0, said
        assert said.endswith("run   runs/x\n")
    assert (terminal.folder / "runs" / "x" / "config.yaml").exists()


def test_a_run_that_another_element_makes_is_waited_for_and_compared(terminal: Terminal) -> None:
    run = terminal.run("x")
    config = run.config.read_bytes()
    run.config.unlink()
    (run.path / "standin.json").unlink()
    terminal.environment |= ELEMENT
    maker = lock(run)
    try:
        typed = [[*PREDICT, "name=x", "cluster=slurm", "--prepare", *more] for more in ([], ["conf=0.9"])]
        same, other = (terminal.start(*words) for words in typed)
        for element in (same, other):
            assert element.stdout is not None
            while "waiting for whoever makes" not in (line := element.stdout.readline()):
                assert line, "it has ended"
        run.config.write_bytes(config)
        assert same.wait(300) == 0
        assert other.wait(300) == 2
        assert other.stdout is not None
        assert "conf: 0.25 in run 'x' → 0.9 now" in other.stdout.read()
    finally:
        maker.release()


def test_an_array_is_one_job_script(terminal: Terminal) -> None:
    code, said = terminal.type(*PREDICT, "name=x", "cluster=slurm", "cluster.array_size=16", "--dry-run")
    assert code == 0, said
    assert "#SBATCH --array=0-15\n" in said
    assert "#SBATCH --output=slurm-%A_%a.out\n" in said
    assert '[ ! -e "$folder/config.yaml" ]' in said


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([*PREDICT, "cluster.nodes=2"], "cluster.array_size: 4 beside cluster.nodes=2"),
        (["val", "model=mine.pt", "data=shapes"], "cluster.array_size: 4 in a run of `yoloscale val`"),
        (["train", "model=yolo26n.yaml"], "cluster.array_size: 4 in a run of `yoloscale train`"),
    ],
)
def test_ranks_that_have_to_meet_are_no_array(terminal: Terminal, typed: list[str], said: str) -> None:
    code, told = terminal.type(*typed, "cluster=slurm", "cluster.array_size=4", "--dry-run")
    assert code == 2
    assert said in told


@pytest.mark.long
def test_an_element_of_an_array_takes_part_in_the_run_that_another_one_has(terminal: Terminal) -> None:
    run = terminal.run("x", until="go")
    first = terminal.start(*PREDICT, "name=x")
    wait_for(lambda: bool(told(run, "prediction_started")))
    step = {"SLURM_JOB_ID": "41", "SLURM_STEP_ID": "0", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    step |= {"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NODELIST": "a"}
    step |= {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "3", "SLURM_STEP_TASKS_PER_NODE": "1"}
    command = [sys.executable, "-m", "yoloscale.backends.slurm.node", str(run.path)]
    element = subprocess.Popen(command, env={**terminal.environment, **step}, stdout=subprocess.PIPE, text=True)
    terminal.started.append(element)
    wait_for(lambda: len(told(run, "joined")) == 1 or element.poll() is not None)
    (run.path / "go").touch()
    assert first.wait(300) == 0
    said, _ = element.communicate(timeout=300)
    assert element.returncode == 0, said
    assert "node 0: finished" in said
    assert len(told(run, "attempt_launched")) == 1
