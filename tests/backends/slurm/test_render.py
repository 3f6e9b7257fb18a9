"""What goes into a script, and what is refused before there is one. Whole scripts are in test_goldens.py."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from yoloscale.backends.base import JobRequest
from yoloscale.backends.slurm.render import TEMPLATE, options, render, script_of, shell_word
from yoloscale.config.locations import templates_folder
from yoloscale.errors import ConfigError

Make = Callable[..., JobRequest]
ON_CPU = "cluster=slurm device=cpu"


def problem(job: JobRequest) -> tuple[str, str, str]:
    with pytest.raises(ConfigError) as refused:
        render(job)
    (found,) = refused.value.problems
    return found.key, found.found, found.instead


@pytest.mark.parametrize(
    ("words", "warning"),
    [
        ("", "USR1@120"),
        ("cluster.stop_before_s=30.5", "USR1@31"),
        ("cluster.time=2", "USR1@60"),
        ("cluster.time=1:00:00 cluster.stop_before_s=300", "USR1@300"),
        ("cluster.stop_before_s=100000", "USR1@65535"),
    ],
)
def test_the_warning_comes_when_the_ranks_are_to_stop(job: Make, words: str, warning: str) -> None:
    assert dict(options(job(f"{ON_CPU} {words}")))["signal"] == warning


@pytest.mark.parametrize(
    ("words", "option", "value"),
    [
        ("cluster.exclusive=true", "exclusive", True),
        ("cluster.exclusive=True", "exclusive", True),
        ("cluster.exclusive=false", "exclusive", None),
        ("cluster.exclusive=mcs", "exclusive", "mcs"),
        ("cluster.export=[]", "export", "NONE"),
        ("cluster.export=A", "export", "A"),
        ("", "export", None),
        ("cluster.sbatch.mem_per_cpu=2G", "mem-per-cpu", "2G"),
        ("cluster.sbatch.mem-per-cpu=2G", "mem-per-cpu", "2G"),
        ("cluster.sbatch.hold=true", "hold", True),
        ("cluster.sbatch.hold=false", "hold", None),
        ("cluster.sbatch.hold=null", "hold", None),
        ("cluster.max_requeues=0", "no-requeue", True),
        ("cluster.max_requeues=0", "requeue", None),
    ],
)
def test_an_option(job: Make, words: str, option: str, value: object) -> None:
    assert dict(options(job(f"{ON_CPU} {words}"))).get(option) == value


@pytest.mark.parametrize(
    "words",
    [
        "cluster.exclusive=true cluster.gpus_per_node=4",  # the job asks for them, and its steps have them
        "cluster.sbatch.gres=gpu:4",
        "device=cpu cluster.exclusive=true",
    ],
)
def test_a_step_asks_for_no_gpus_that_its_job_has_asked_for(job: Make, words: str) -> None:
    assert "$gpus" not in render(job(f"cluster=slurm {words}"))


@pytest.mark.parametrize(("gres", "asked"), [("gpu:a100:4(IDX:0-3)", "--gpus-per-node=4"), ("", ""), ("nvme:1", "")])
def test_a_step_asks_for_the_gpus_of_whole_nodes_where_slurm_counts_them(
    job: Make, gres: str, asked: str, tmp_path: Path
) -> None:
    script = render(job("cluster=slurm cluster.exclusive=true device=cuda cluster.procs_per_node=4"))
    assert "--export=ALL --kill-on-bad-exit=1 --wait=20 $gpus \\\n" in script
    asks = re.search(r"^gpus=\n.*?^fi$", script, re.M | re.S)
    assert asks is not None
    shown = tmp_path / "shown"
    shown.write_text(f"JobId=7 JobName=GRES=gpu\n   NumNodes=1\n     Nodes=node1 CPU_IDs=0-3 Mem=0 GRES={gres}\n")
    shell = f"scontrol() {{ cat {shown}; }}\nSLURM_JOB_ID=7\n{asks[0]}\necho $gpus"
    assert subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True).stdout.strip() == asked


def test_the_same_job_gives_the_same_bytes(job: Make) -> None:
    words = f"{ON_CPU} cluster.env.B=2 cluster.env.A=1 cluster.sbatch.b-b=1 cluster.sbatch.a-a=1"
    turned = f"{ON_CPU} cluster.env.A=1 cluster.env.B=2 cluster.sbatch.a-a=1 cluster.sbatch.b-b=1"
    assert script_of(job(words, typed=())) == script_of(job(turned, typed=()))


def test_bytes_that_are_no_text_stay_as_they_are(job: Make) -> None:
    folder = Path(b"/data/\xff".decode("utf-8", "surrogateescape"))
    assert b"folder='/data/\xff/run'\n" in script_of(job(ON_CPU, folder=folder / "run"))


def test_a_word_is_on_one_line_whatever_it_holds() -> None:
    assert shell_word("plain/path-1.0") == "plain/path-1.0"
    assert shell_word("a b\\c") == "'a b\\c'"
    assert shell_word("a\n'$x'\\\x01") == "$'a\\n\\'$x\\'\\\\\\x01'"


def test_a_site_brings_a_template_of_its_own(job: Make, tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    ours = tmp_path / "ours" / "our script.j2"
    ours.write_text(
        "#!/bin/bash\n{% for flag in flags %}\n#SBATCH {{ flag }}\n{% endfor %}\necho {{ job.name | sh }}\n"
    )
    whole = render(job(f"{ON_CPU} name='a b' cluster.template='{ours}'"))
    assert whole.endswith("\n#SBATCH --signal=USR1@120\necho 'a b'\n")
    relative = job(f"{ON_CPU} name='a b' cluster.template='ours/our script.j2'", working_folder=tmp_path)
    assert render(relative) == whole


def test_a_template_has_all_that_ours_says_of_a_job(job: Make, tmp_path: Path) -> None:
    (listed,) = re.findall(r"\n  job +(.*?)\n  cluster ", (templates_folder() / TEMPLATE).read_text(), re.DOTALL)
    names = re.findall(r"\w+", re.sub(r"\([^)]*\)", "", listed))
    assert {"name", "typed", "output", "asks"} <= set(names)
    (tmp_path / "all.j2").write_text("#!/bin/bash\n" + "\n".join(f"# {{{{ job.{name} }}}}" for name in names))
    script = render(job(f"{ON_CPU} cluster.template='{tmp_path}/all.j2'"))
    assert "# slurm-%j.out" in script


def test_a_template_is_found_from_wherever_the_run_goes_on(
    job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ours.j2").write_text("#!/bin/bash\n")
    assert job(f"{ON_CPU} cluster.template=ours.j2").cluster.template == str(tmp_path / "ours.j2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ jobb.name }}", "'jobb' is undefined"),
        ("{{ job.nmae }}", "no attribute 'nmae'"),
        ("\n{% for x in flags %}", "line 2: "),
        ("{{ job.name | shell }}", "No filter named 'shell'"),
        (b"\xff", "can't decode byte"),
        (None, "there is no such file"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_told(
    job: Make, tmp_path: Path, text: str | bytes | None, said: str
) -> None:
    path = tmp_path / "ours.j2"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    key, found, instead = problem(job(f"{ON_CPU} cluster.template={path}"))
    assert key == "cluster.template"
    assert found.startswith(str(path))
    assert said in found
    assert str(templates_folder() / TEMPLATE) in instead


@pytest.mark.parametrize("name", ["100%new", "a\\b", "x%3j"])
def test_a_folder_that_slurm_cannot_write_to(job: Make, name: str) -> None:
    key, found, _ = problem(job(ON_CPU, folder=Path("/runs") / name))
    assert key == "paths.runs"
    assert "cannot hold the output" in found


@pytest.mark.parametrize("runtime", ["pyxis", "apptainer"])
@pytest.mark.parametrize(
    ("field", "path", "key"),
    [
        ("working_folder", "/", "the working folder"),
        ("working_folder", "/a,b", "the working folder"),
        ("folder", "/a:b/run", "paths.runs"),
        ("cache", "/a\nb", "paths.cache"),
    ],
)
def test_a_folder_that_no_container_can_see(job: Make, runtime: str, field: str, path: str, key: str) -> None:
    words = f"{ON_CPU} cluster.container_image=i cluster.container_runtime={runtime}"
    assert problem(job(words, **{field: Path(path)}))[0] == key
    assert render(job(ON_CPU, **{field: Path(path)}))


@pytest.mark.parametrize("site", ["cluster=slurm_container", "cluster=slurm_cpu cluster.container_image=/a.sif"])
def test_apptainer_under_its_older_name(job: Make, site: str) -> None:
    words = f"{site} cluster.env.A=1 batch=128 cluster.container_runtime"
    older = render(job(f"{words}=singularity"))
    assert "    singularity exec " in older
    assert 'export SINGULARITYENV_A="$A"' in older
    assert older == render(job(f"{words}=apptainer")).replace("apptainer", "singularity").replace(
        "APPTAINER", "SINGULARITY"
    )
