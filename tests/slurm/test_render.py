"""Rendered scripts under a real sbatch: every value arrives as it was given, and nothing in it is executed."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.slurm.conftest import SlurmCluster

from yoloscale.backends.slurm.render import flag, unwritable
from yoloscale.config.quoting import quote

SOURCE = Path(__file__).parents[2] / "src"
SMALL = ("data.shapes.train_images=8", "data.shapes.val_images=8", "data.shapes.image_size=64")
NASTY = 'it\'s "$(touch x)" `touch x` ${HOME} # ; 5% süß 漢'  # what a folder may be called
VALUE = NASTY + " \\ \t%j\nline two`touch x`"
CHARACTERS = " \t'\"\\$`#;&|<>(){}[]*?~!%=,:@+-_.aZ9é漢🙂"
STUB = """\
#!{python} -B
import json, os, sys
from pathlib import Path
said = dict(argv=sys.argv[1:], environ=dict(os.environ), folder=os.getcwd())
Path(__file__).with_name(sys.argv[2] + ".json").write_text(json.dumps(said))
"""


def nasty_values() -> list[str]:
    draw = random.Random(0)
    drawn = ["".join(draw.choices(CHARACTERS, k=draw.randint(1, 30))) for _ in range(60)]
    fixed = [NASTY, "'", '"', "\\", "\\\\", '\\"', "a#b", "#", "$(touch x)", "a  b", "-x", "--wrap=x", "%j", "x" * 200]
    return fixed + [value for value in drawn if value.strip() == value]


def test_sbatch_takes_every_value_as_it_is(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    expected = {}
    for value in nasty_values():
        flags = [flag("comment", value), flag("hold", True), flag("job-name", value)]
        lines = ["#!/bin/bash", *(f"#SBATCH {each}" for each in flags), "true\n"]
        (tmp_path / "job.sh").write_text("\n".join(lines), encoding="utf-8")
        expected[slurm_cluster.run("sbatch", "--parsable", "job.sh", folder=tmp_path)] = value
    listed = slurm_cluster.run("squeue", "--noheader", "--format=%i\x1f%k\x1f%j").splitlines()
    found = {job: (comment, name) for job, comment, name in (line.split("\x1f") for line in listed)}
    assert found == {job: (value, value) for job, value in expected.items()}


@dataclass
class Site:
    """A person's folder with a name that bites, and a `python` on the nodes that only writes down what it got."""

    folder: Path
    stub: Path
    cache: Path
    cluster: SlurmCluster

    def type(self, *words: str, timeout_s: float = 900, **variables: str) -> subprocess.CompletedProcess[bytes]:
        """`yoloscale train WORDS`, typed in the folder."""
        command = [sys.executable, "-m", "yoloscale", "train", "cluster=slurm", "device=cpu", *SMALL, *words]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "YOLOSCALE_CACHE": str(self.cache), **variables}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, timeout=timeout_s, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done

    def submit(self, *words: str, **variables: str) -> int:
        printed = self.type(*words, **variables).stdout.decode()
        found = re.search(r"^job   (\d+) submitted$", printed, re.MULTILINE)
        assert found is not None, printed
        return int(found[1])

    def heard(self, module: str) -> dict[str, Any]:
        """What a call of the stub was given."""
        found = json.loads(self.stub.with_name(f"{module}.json").read_text())
        assert isinstance(found, dict)
        return found


@pytest.fixture
def site(slurm_cluster: SlurmCluster, tmp_path: Path, cache: Path) -> Site:
    folder, bin_folder = tmp_path / f"{NASTY}\nline two", tmp_path / f"bin {NASTY}"
    folder.mkdir()
    bin_folder.mkdir()
    stub = bin_folder / "python"
    stub.write_text(STUB.format(python=sys.executable))
    stub.chmod(0o755)
    return Site(folder, stub, cache, slurm_cluster)


def stub_words(site: Site) -> list[str]:
    return [f"cluster.python={quote(str(site.stub))}", f"cluster.env.NASTY={quote(VALUE)}"]


def nothing_was_executed(folder: Path) -> bool:
    return not [path for path in folder.rglob("x") if path.is_file()]


def test_a_submitted_job_gets_everything_as_it_was_typed(site: Site, tmp_path: Path) -> None:
    runs = f"runs {NASTY}\nline two"
    job = site.submit(*stub_words(site), f"name={quote(NASTY)}", f"paths.runs={quote(runs)}")
    assert site.cluster.wait_for(job) == "COMPLETED"
    run = site.folder / runs / NASTY
    node, conclude = site.heard("yoloscale.backends.slurm.node"), site.heard("yoloscale.backends.slurm.finalize")
    assert node["argv"] == ["-m", "yoloscale.backends.slurm.node", str(run)]
    assert conclude["argv"] == ["-m", "yoloscale.backends.slurm.finalize", str(run), "0"]
    assert node["folder"] == conclude["folder"] == str(site.folder)
    assert node["environ"]["NASTY"] == VALUE
    assert site.cluster.run("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%j") == NASTY
    assert (run / "job" / f"slurm-{job}.out").is_file()
    assert nothing_was_executed(tmp_path)


def test_a_printed_script_piped_into_sbatch_gets_everything_too(site: Site, tmp_path: Path) -> None:
    words = [*stub_words(site), f"name={quote(NASTY)}", f"paths.runs={quote('runs' + NASTY)}"]
    script = site.type(*words, "--dry-run").stdout
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(["sbatch", "--parsable"], input=script, cwd=elsewhere, capture_output=True, check=True)
    job = int(done.stdout)
    assert site.cluster.wait_for(job) == "COMPLETED"
    prepared = site.heard("yoloscale")
    assert prepared["argv"] == ["-m", "yoloscale", "train", "cluster=slurm", "device=cpu", *SMALL, *words, "--prepare"]
    assert prepared["folder"] == str(site.folder)
    assert site.heard("yoloscale.backends.slurm.node")["argv"][-1] == str(site.folder / f"runs{NASTY}" / NASTY)
    assert [path.name for path in elsewhere.iterdir()] == [f"slurm-{job}.out"]
    assert nothing_was_executed(tmp_path)


def test_a_folder_that_slurm_would_write_the_output_past_is_refused(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    for name, is_fine in {"100%new": False, "a\\b": False, "50%5j": False, "50% off": True, "100%": True}.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "job.sh").write_text("#!/bin/bash\n#SBATCH --output=slurm-%j.out\n")
        job = int(slurm_cluster.run("sbatch", "--parsable", "job.sh", folder=folder))
        slurm_cluster.wait_for(job)
        assert (folder / f"slurm-{job}.out").exists() == is_fine == (unwritable(folder) is None), name


def test_what_is_printed_is_what_is_submitted(site: Site) -> None:
    words = [*stub_words(site), "cluster.sbatch.hold=true", "cluster.comment=one two"]
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # the bytes are the same there
    for name, variables in (([], ascii_only), (["name=named"], ascii_only), (["name=é漢"], {})):
        printed = site.type(*words, *name, "--dry-run", **variables).stdout
        assert site.submit(*words, *name) > 0
        run = site.folder / "runs" / (name[0].removeprefix("name=") if name else "yolo26n-shapes")
        assert (run / "job" / "submit-1.sbatch").read_bytes() == printed


@pytest.mark.parametrize(
    ("export", "travels"),
    [
        ([], {"SECRET_TOKEN", "OTHER"}),
        (["cluster.export=SECRET_TOKEN,ABSENT"], {"SECRET_TOKEN"}),
        (["cluster.export=[]"], set()),
    ],
    ids=["all", "some", "none"],
)
def test_the_environment_travels_by_name_and_never_in_a_file(site: Site, export: list[str], travels: set[str]) -> None:
    given = {"SECRET_TOKEN": "hunter-2-hunter", "OTHER": "other"}
    job = site.submit(*stub_words(site), *export, "name=run", **given)
    assert site.cluster.wait_for(job) == "COMPLETED"
    environ = site.heard("yoloscale.backends.slurm.node")["environ"]
    assert {name: environ[name] for name in given if name in environ} == {name: given[name] for name in travels}
    assert environ["NASTY"] == VALUE
    assert environ["PATH"]
    assert environ["HOME"]
    files = [path for path in (site.folder / "runs").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"hunter-2-hunter" in path.read_bytes()]


@pytest.mark.long
def test_a_printed_script_piped_into_sbatch_trains(
    slurm_cluster: SlurmCluster, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    monkeypatch.setenv("YOLOSCALE_CACHE", str(cache))
    small = (
        "cluster.nodes=2 cluster.procs_per_node=1 device=cpu batch=8 nbs=8 imgsz=64 plots=false val=false epochs=1 "
        "data.shapes.train_images=16 data.shapes.val_images=8 data.shapes.image_size=64 model=yolo26n.yaml name=it"
    )
    command = [sys.executable, "-m", "yoloscale", "train", "cluster=slurm", *small.split(), "--dry-run"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=900, check=True).stdout
    assert not (tmp_path / "runs").exists()
    done = subprocess.run(["sbatch", "--parsable"], input=printed, cwd=tmp_path, capture_output=True, check=True)
    job = int(done.stdout)
    said = tmp_path / f"slurm-{job}.out"
    assert slurm_cluster.wait_for(job, timeout_s=900) == "COMPLETED", said.read_text()
    assert json.loads((tmp_path / "runs" / "it" / "result.json").read_text())["epochs"] == 1
