"""A whole script run by bash, with stand-ins for srun, apptainer and Python that write down what they were given."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from yoloscale.backends.base import JobRequest
from yoloscale.backends.slurm.render import script_of
from yoloscale.config.quoting import quote

NASTY = 'it\'s "$(touch x)" `touch x` ${HOME} # süß'
STANDIN = """\
#!{python} -B
import json, os, sys
from pathlib import Path
said = [Path(sys.argv[0]).name, *sys.argv[1:], dict(os.environ)]
with Path(__file__).with_name("said.jsonl").open("a") as file:
    file.write(json.dumps(said) + "\\n")
sys.exit(int(os.environ.get("FAIL_" + Path(sys.argv[0]).name, "0")))
"""
Call = list[str]


class Stage:
    """Folders whose names bite, stand-ins on the PATH of a job, and what those were called with."""

    def __init__(self, folder: Path, job: Callable[..., JobRequest]) -> None:
        self.home, self.bin = folder / NASTY, folder / "bin"
        self.run = self.home / "runs" / "run"
        for needed in (self.run, self.bin):
            needed.mkdir(parents=True)
        for name in ("srun", "apptainer", "python"):
            (self.bin / name).write_text(STANDIN.format(python=sys.executable))
            (self.bin / name).chmod(0o755)
        self._job = job

    def play(
        self, *words: str, arguments: Sequence[str] = (), **variables: str
    ) -> tuple[int, list[Call], list[dict[str, str]]]:
        """Exit code of the script, the calls, and the environment of each; nothing inside a value may be executed."""
        job = self._job(
            shlex.join(["cluster=slurm", "device=cpu", *words]),
            folder=self.run,
            cache=self.home / "cache",
            working_folder=self.home,
            typed=("train", f"name={NASTY}"),
            launcher_python=str(self.bin / "python"),
        )
        environment = {**os.environ, "PATH": f"{self.bin}:/usr/bin:/bin", **variables}
        done = subprocess.run(
            ["bash", "-s", "--", *arguments],
            input=script_of(job),
            env=environment,
            capture_output=True,
            timeout=300,
            check=False,
        )
        assert not list(self.home.parent.rglob("x"))
        said = [json.loads(line) for line in (self.bin / "said.jsonl").read_text().splitlines()]
        return done.returncode, [call[:-1] for call in said], [call[-1] for call in said]


@pytest.fixture
def stage(tmp_path: Path, job: Callable[..., JobRequest]) -> Stage:
    return Stage(tmp_path, job)


def test_the_folder_is_made_if_it_is_not_there_and_the_end_is_told(stage: Stage) -> None:
    code, (prepare, owner, srun, conclude), _ = stage.play(FAIL_srun="7")
    assert prepare == ["python", "-m", "yoloscale", "train", f"name={NASTY}", "--prepare"]
    assert owner == ["python", "-m", "yoloscale.backends.slurm.owner", str(stage.run)]
    assert srun[-4:] == [str(stage.bin / "python"), "-m", "yoloscale.backends.slurm.node", str(stage.run)]
    assert conclude == ["python", "-m", "yoloscale.backends.slurm.finalize", str(stage.run), "7"]
    assert code == 0, "that of the last word"


def test_a_folder_that_is_there_is_left_alone(stage: Stage) -> None:
    (stage.run / "config.yaml").touch()
    code, calls, _ = stage.play()
    assert [call[0] for call in calls] == ["python", "srun", "python"]
    assert code == 0


@pytest.mark.parametrize("is_there", [True, False])
def test_who_is_told_its_run_makes_none_and_tells_the_others(stage: Stage, is_there: bool) -> None:
    if is_there:
        (stage.run / "config.yaml").touch()
    _, calls, environments = stage.play(arguments=["0123456789ab", "17"], YOLOSCALE_RUN_ID="outer")
    assert [call[0] for call in calls] == ["srun", "python"]
    assert calls[-1][-3:] == [str(stage.run), "0", "17"]
    assert {environ["YOLOSCALE_RUN_ID"] for environ in environments} == {"0123456789ab"}
    _, calls, environments = stage.play(arguments=[""])  # a run of before there were ids
    assert [call[0] for call in calls[2:]] == ["srun", "python"]
    assert environments[-1]["YOLOSCALE_RUN_ID"] == ""


def test_a_job_that_finds_another_run_starts_nothing(stage: Stage) -> None:
    (stage.run / "config.yaml").touch()
    code, calls, environments = stage.play(FAIL_python="1", YOLOSCALE_RUN_ID="outer")
    assert code == 1
    assert [call[:3] for call in calls] == [["python", "-m", "yoloscale.backends.slurm.owner"]]
    assert "YOLOSCALE_RUN_ID" not in environments[0]


def test_a_folder_that_cannot_be_made_ends_the_job(stage: Stage) -> None:
    code, calls, _ = stage.play(FAIL_python="1")
    assert code == 2
    assert len(calls) == 1


def test_setup_comes_first_and_the_environment_is_set_after_it(stage: Stage) -> None:
    setup = quote(["export A=setup B=setup", "for each in 1 2; do\n  export C=$each\ndone"])
    _, _, environments = stage.play(f"cluster.setup={setup}", "cluster.env.A=env", f"cluster.env.D={quote(NASTY)}")
    for environ in environments:
        assert {name: environ[name] for name in "ABCD"} == {"A": "env", "B": "setup", "C": "2", "D": NASTY}
        assert environ["YOLOSCALE_CACHE"] == str(stage.home / "cache")


def test_setup_may_make_the_shell_strict(stage: Stage) -> None:
    _, calls, _ = stage.play("cluster.setup=[set -euo pipefail]", FAIL_srun="7")
    assert calls[-1][2:4] == ["yoloscale.backends.slurm.finalize", str(stage.run)]


def mounts(stage: Stage) -> str:
    seen = [stage.home, stage.run, stage.home / "cache"]
    return ",".join([*(f"{path}:{path}" for path in seen), "/data/a b $(touch x):/data"])


def test_pyxis_gets_image_folders_and_names(stage: Stage) -> None:
    image = "registry#a b$(touch x):1"
    _, calls, _ = stage.play(
        f"cluster.container_image={quote(image)}",
        f"cluster.container_mounts={quote(['/data/a b $(touch x):/data'])}",
        "cluster.env.NCCL_DEBUG=WARN",
        "cluster.export=HF_HOME",
    )
    srun = calls[2]
    assert srun[-4:] == ["python3", "-m", "yoloscale.backends.slurm.node", str(stage.run)]
    assert srun[-8:-4] == [
        f"--container-image={image}",
        f"--container-mounts={mounts(stage)}",
        f"--container-workdir={stage.home}",
        "--container-env=HF_HOME,NCCL_DEBUG,YOLOSCALE_CACHE",
    ]
    assert (stage.home / "cache").is_dir(), "a folder that is not there cannot be mounted"


def test_apptainer_gets_them_too(stage: Stage) -> None:
    _, calls, environments = stage.play(
        "cluster.container_image=/images/a b.sif",
        "cluster.container_runtime=apptainer",
        f"cluster.container_mounts={quote(['/data/a b $(touch x):/data'])}",
        f"cluster.env.NASTY={quote(NASTY)}",
    )
    started = calls[2][calls[2].index("apptainer") :]
    assert started == [
        *("apptainer", "exec", "--bind", mounts(stage), "--pwd", str(stage.home), "/images/a b.sif"),
        *("python3", "-m", "yoloscale.backends.slurm.node", str(stage.run)),
    ]
    assert environments[2]["APPTAINERENV_NASTY"] == NASTY
