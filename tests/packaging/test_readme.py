"""Every command in the README is one that works: it composes, or its words and flags are the command's own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from yoloscale.cli import main as command_line
from yoloscale.config import resolve
from yoloscale.config.check import train as validate
from yoloscale.sweep import configure
from yoloscale.system.machine import Machine

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL_BLOCK = re.compile(r"^```(?:bash|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMPOSED = ("train", "data check", "data prepare")


def shell_commands() -> list[list[str]]:
    """The words of each command in the README's shell blocks, without prompts, comments and pipes."""
    found = []
    for block in SHELL_BLOCK.findall(README):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words:
                found.append(words[: words.index("|")] if "|" in words else words)
    return found


def yoloscale_commands() -> list[list[str]]:
    return [words[1:] for words in shell_commands() if words[0] == "yoloscale"]


@pytest.fixture
def eight_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which every command of the README makes sense, an empty folder, and the files that it names."""
    for module in (resolve, validate, configure):
        monkeypatch.setattr(module, "this_machine", lambda: Machine(gpu_count=8, cpus=64, has_bf16=True))
    monkeypatch.chdir(tmp_path)
    shown = re.findall(r"`my-configs/(\w+/\w+\.yaml)`[^`]*```yaml\n(.*?)```", README, re.DOTALL)
    assert [name for name, _ in shown] == ["experiment/parts.yaml", "sweep/rates.yaml"]
    for name, content in shown:
        path = tmp_path / "my-configs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    written = tmp_path / "path" / "to" / "args.yaml"
    written.parent.mkdir(parents=True)
    written.write_text(
        "task: detect\nmode: train\nmodel: yolo26n.yaml\ndata: coco8.yaml\nlr0: 0.02\n", encoding="utf-8"
    )


def answers(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command prints; it must succeed."""
    try:
        code = command_line.main(words)
    except SystemExit as exit_:  # argparse's --help
        code = int(exit_.code or 0)
    printed = capsys.readouterr()
    assert code == 0, f"yoloscale {shlex.join(words)}\n{printed.err}"
    return printed.out


@pytest.mark.usefixtures("eight_gpus")
@pytest.mark.parametrize("words", [w for w in yoloscale_commands() if w[0] == "train"], ids=shlex.join)
def test_a_training_command_composes(words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    own = [word for word in words if word != "--detach"]
    assert answers([*own, "--dry-run"] if "--cfg" not in own else own, capsys)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("words", [w for w in yoloscale_commands() if w[0] != "train"], ids=shlex.join)
def test_another_command_has_these_flags(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    known = answers([words[0], "--help"], capsys) if not words[0].startswith("-") else answers(words, capsys)
    flags = [word.partition("=")[0] for word in words[1:] if word.startswith("-")]
    assert [flag for flag in flags if not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", known)] == []


def test_the_error_is_printed_as_shown(capsys: pytest.CaptureFixture[str]) -> None:
    shown = re.search(r"^```text\n\$ yoloscale (.*)\n(There (?:.*\n)*?)```", README, re.MULTILINE)
    assert shown is not None
    assert command_line.main(shlex.split(shown[1])) == 2
    assert capsys.readouterr().err == shown[2]


@pytest.mark.long
def test_the_python_api_does_what_is_shown(tmp_path: Path) -> None:
    shown = next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "yoloscale.train" in block)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "YOLOSCALE_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", shown],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=560,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^finished \{.*mAP50.*best\.pt$", done.stdout, re.MULTILINE), done.stdout


def test_the_readme_has_commands_of_every_kind() -> None:
    assert {words[0] for words in yoloscale_commands()} >= set(command_line.COMMANDS)


def test_the_make_targets_exist_and_ci_runs_the_test_command() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {words[1] for words in shell_commands() if words[0] == "make"}
    assert {"train", "test"} <= named
    assert {target for target in named if f"\n{target}:" not in makefile} == set()
    assert re.search(r"^stage .* make test( |$)", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)


def test_measured_output_is_replaced_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import update_readme

    block = update_readme.rendered("make train", "epoch 1\n\n", "a machine", 61.4)
    assert block == "```text\n$ make train\nepoch 1\n```\n\n1:01 minutes on a machine.\n"
    for name in update_readme.COMMANDS:
        once = update_readme.between_markers(README, name, block)
        assert once.count(block) == 1
        assert update_readme.between_markers(once, name, block) == once
        for end in (f"<!-- {name} -->", f"<!-- /{name} -->"):
            assert README.partition(end)[0 if "/" not in end else 2] in once


def test_every_file_it_links_to_is_there() -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
