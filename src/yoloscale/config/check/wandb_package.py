"""What the installed wandb takes for W&B's own server, which differs between its releases. It is not imported."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from yoloscale.errors import ConfigError, Problem

_ASK = "import wandb; print(wandb.Settings().base_url)"
_ASK_TIMEOUT_S = 60.0  # of a cold shared file system


@cache
def own_server(package: Path | None = None) -> str:
    """The address that wandb takes where nobody names one: from its source, else from a process that imports it.

    Raises ConfigError where neither tells.
    """
    folder = package or package_folder()
    address = _constant(folder / "sdk" / "lib" / "urls.py", "DEFAULT_BASE_URL")  # from 0.31 on
    address = address or _constant(folder / "sdk" / "wandb_settings.py", "base_url")
    return address.rstrip("/") if isinstance(address, str) else _asked()


@cache
def api_hosts(package: Path | None = None) -> Mapping[str, str]:
    """Hosts that W&B is reached at since 0.31, each with the host whose key holds there as well; empty before that."""
    hosts = _constant((package or package_folder()) / "sdk" / "lib" / "urls.py", "FORGE_HOSTS")
    return hosts if isinstance(hosts, dict) else {}


def package_folder() -> Path:
    """The installed package. Raises ConfigError where there is none."""
    spec = importlib.util.find_spec("wandb")
    if spec is None or spec.origin is None:
        raise ConfigError(Problem("logger.wandb", "it is not installed", "pip install wandb"))
    return Path(spec.origin).parent


def _constant(file: Path, name: str) -> Any:
    """The value of the first assignment to a name in a module or in a class of it; None where it is no literal."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    for node in (node for body in bodies for node in body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and name in names:
            try:
                return ast.literal_eval(node.value) if node.value is not None else None
            except ValueError:
                return None
    return None


def _asked() -> str:
    try:
        done = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, text=True, timeout=_ASK_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise _untold(f"no answer within {_ASK_TIMEOUT_S:.0f} s") from None
    if done.returncode or not done.stdout.strip():
        raise _untold((done.stderr.strip().splitlines() or ["no answer"])[-1])
    return done.stdout.split()[-1].rstrip("/")


def _untold(why: str) -> ConfigError:
    found = f"the installed wandb does not tell the address of its server: {why}"
    return ConfigError(Problem("logger.wandb", found, "set WANDB_BASE_URL in the environment, or pip install -U wandb"))
