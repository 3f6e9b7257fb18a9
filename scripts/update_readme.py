"""Writes measured output into README.md, between its markers, with the machine it was taken on.

.venv/bin/python scripts/update_readme.py demo     what `make train` prints, minutes
.venv/bin/python scripts/update_readme.py sweep    what a small sweep prints, minutes
.venv/bin/python scripts/update_readme.py bench    what `yoloscale bench train` prints, longer
.venv/bin/python scripts/update_readme.py checkpoint    what `yoloscale bench checkpoint` prints, minutes
.venv/bin/python scripts/update_readme.py predict    what `yoloscale bench predict` prints, minutes
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
SWEEP = ["train", "-m", "lr0=0.002,0.01", "seed=range(0,2)", "experiment=shapes_demo", "epochs=3", "name=rates"]
COMMANDS = {
    "demo": ("make train", ["train", "experiment=shapes_demo"]),
    "sweep": (f"yoloscale {shlex.join(SWEEP)}", SWEEP),
    "bench": ("yoloscale bench train", ["bench", "train"]),
    "checkpoint": ("yoloscale bench checkpoint", ["bench", "checkpoint"]),
    "predict": ("yoloscale bench predict", ["bench", "predict"]),
}


def main(argv: list[str]) -> int:
    """Measure what was named; 2 if it is not known, else the exit code of the command."""
    if len(argv) != 2 or argv[1] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    shown, arguments = COMMANDS[argv[1]]
    started = time.monotonic()
    code, printed = output_of(arguments)
    if code == 0:
        block = rendered(shown, printed, machine(), time.monotonic() - started)
        README.write_text(between_markers(README.read_text(encoding="utf-8"), argv[1], block), encoding="utf-8")
    return code


def output_of(arguments: list[str]) -> tuple[int, str]:
    """Exit code and output of a command that starts as on a new machine: no runs, no rendered images."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "YOLOSCALE_CACHE": f"{folder}/.cache", "COLUMNS": "118", "NO_COLOR": "1"}
        command = [sys.executable, "-m", "yoloscale", *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout


def rendered(shown: str, printed: str, where: str, seconds: float) -> str:
    """The block for the README, without the lines that name the temporary folder."""
    minutes, rest = divmod(round(seconds), 60)
    lines = [line for line in printed.rstrip().splitlines() if not line.startswith(("command  ", "folder   "))]
    body = "\n".join(lines)
    return f"```text\n$ {shown}\n{body}\n```\n\n{minutes}:{rest:02} minutes on {where}.\n"


def machine() -> str:
    """CPU model, CPUs that may be used, GPUs, and the versions that decide about speed."""
    from importlib.metadata import version

    from yoloscale.system.machine import this_machine

    found = this_machine()
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    gpus = f", {found.gpu_count} GPUs" if found.gpu_count else ""
    return f"{found.cpus} CPUs of {cpu}{gpus}; torch {version('torch')}, ultralytics {version('ultralytics')}"


def between_markers(text: str, name: str, block: str) -> str:
    """`text` with `block` between `<!-- name -->` and `<!-- /name -->`."""
    before, opening, rest = text.partition(f"<!-- {name} -->\n")
    _, closing, after = rest.partition(f"<!-- /{name} -->")
    assert opening, f"README.md has no <!-- {name} -->"
    assert closing, f"README.md has no <!-- /{name} -->"
    return before + opening + block + closing + after


if __name__ == "__main__":
    sys.exit(main(sys.argv))
