"""What a person reads last of a run that failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from yoloscale.agent.outcome import Failure
from yoloscale.cli.show.ending import print_failure
from yoloscale.exit_codes import BAD_CONFIG, FAILED
from yoloscale.runs.directory import RunDirectory


@pytest.mark.parametrize(
    ("exit_code", "hint"),
    [
        (FAILED, "Once it is mended: yoloscale resume "),
        (BAD_CONFIG, "Other settings need another name=; once what is not a setting is mended: yoloscale resume "),
    ],
)
def test_settings_are_not_mended_by_resuming(
    exit_code: int, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = Failure(0, "node1", exit_code, "batch: 4\n      write another batch", is_recorded=True)
    print_failure(RunDirectory(tmp_path), failure)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"The run failed: rank 0 on node1 (exit code {exit_code}): batch: 4"
    assert lines[-1].startswith(hint)
