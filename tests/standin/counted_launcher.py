"""`python -m counted_launcher FILE COMMAND …`: `yoloscale COMMAND …` with stand-in ranks, its calls counted.

FILE gets how often each function of COUNTED was called in this process, as a JSON object.
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

COUNTED = {
    "yoloscale.config.compose.flags": ("split",),
    "yoloscale.config.compose.hydra": ("hydra_arguments", "compose_tree"),
    "yoloscale.config.freeze": ("load", "load_own"),
}


def code_of(module: str, name: str) -> CodeType:
    """What is run when the function is called, by whatever name."""
    code: CodeType = getattr(importlib.import_module(module), name).__code__
    return code


def main() -> int:
    file, arguments = Path(sys.argv[1]), sys.argv[2:]
    names = {code_of(module, name): name for module, functions in COUNTED.items() for name in functions}
    calls = Counter(dict.fromkeys(names.values(), 0))

    def count(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in names:
            calls[names[frame.f_code]] += 1

    from yoloscale.cli import main as cli

    threading.setprofile(count)
    sys.setprofile(count)
    try:
        return cli.main(arguments)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
        file.write_text(json.dumps(calls))


if __name__ == "__main__":
    sys.exit(main())
