"""The wheel, installed away from the checkout, is the whole program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.long


def run(*command: str | Path, cwd: Path, timeout_s: float = 280) -> str:
    """Run a program in a clean environment; what it printed."""
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    pip = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))}
    environment = {**keep, **pip, "YOLOSCALE_CACHE": str(cwd / "cache"), "YOLO_CONFIG_DIR": str(cwd / "ultralytics")}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("yoloscale-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bin/` of a fresh virtual environment that holds the wheel.

    Gigabytes of dependencies are not installed again: a .pth file adds the folder they are in behind the new one. A
    .pth inside that folder, as an editable install of this checkout leaves it, is not followed from there, so
    yoloscale itself can come from the wheel only.
    """
    folder = tmp_path_factory.mktemp("away") / "venv"
    venv.create(folder, with_pip=False)
    own = Path(run(folder / "bin" / "python", "-c", _SITE_PACKAGES, cwd=folder).strip())
    (own / "dependencies.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    python = folder / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        wheel,
        cwd=folder,
    )
    return folder / "bin"


_SITE_PACKAGES = "import sysconfig; print(sysconfig.get_paths()['purelib'])"


def test_every_config_and_template_is_in_it(wheel: Path) -> None:
    inside = {name: zipfile.ZipFile(wheel).read(name) for name in zipfile.ZipFile(wheel).namelist()}
    listed = run("git", "ls-files", "configs", "slurm", cwd=ROOT).splitlines()
    assert "slurm/job.sbatch.j2" in listed
    assert len(listed) > 100
    missing = [path for path in listed if inside.get(f"yoloscale/_{path}") != (ROOT / path).read_bytes()]
    assert missing == []


def test_it_holds_the_package_and_the_licence_only(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"yoloscale", "yoloscale-0.1.0.dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("yoloscale/_configs/local")]


def test_it_trains_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    where = "import yoloscale, json; from yoloscale.config.locations import configs_folder as c; "
    where += "print(json.dumps([yoloscale.__file__, str(c())]))"
    for found in json.loads(run(installed / "python", "-c", where, cwd=tmp_path)):
        assert Path(found).is_relative_to(installed.parent), found
    printed = run(
        installed / "yoloscale", "train", "experiment=smoke", "device=cpu", "name=smoke", cwd=tmp_path, timeout_s=560
    )
    assert "smoke is finished" in printed
    result = json.loads((tmp_path / "runs" / "smoke" / "result.json").read_text())
    assert (tmp_path / "runs" / "smoke" / result["weights"]).stat().st_size > 1_000_000
