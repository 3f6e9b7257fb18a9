"""Scripts are no part of the package, so no type checker looks at them: what they import from it must be there."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def _is_python(path: Path) -> bool:
    return path.is_file() and (
        path.suffix == ".py" or path.read_text(encoding="utf-8").startswith("#!/usr/bin/env python")
    )


@pytest.mark.parametrize(
    "script", [path for path in sorted(SCRIPTS.iterdir()) if _is_python(path)], ids=lambda p: p.name
)
def test_what_a_script_imports_from_the_package_is_there(script: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "yoloscale":
            module = importlib.import_module(node.module or "")
            for name in node.names:
                found = hasattr(module, name.name)
                assert found or importlib.util.find_spec(f"{node.module}.{name.name}"), f"{node.module}: {name.name}"
