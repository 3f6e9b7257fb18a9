from __future__ import annotations

import os
from pathlib import Path

import pytest

from yoloscale.runs import jsonl
from yoloscale.runs.tail import Tail


@pytest.mark.parametrize("torn", [b'{"a":', b"\0\0\0", b"\xff\xfe{", b"[1]"])
def test_a_torn_line_costs_no_other(tmp_path: Path, torn: bytes) -> None:
    file = tmp_path / "events.jsonl"
    jsonl.append(file, {"n": 1})
    with file.open("ab") as stream:
        stream.write(torn)
    jsonl.append(file, {"n": 2})
    jsonl.append(file, {"n": 3})
    assert [line["n"] for line in jsonl.read(file)] == [1, 2, 3]
    assert [line["n"] for line in Tail(file).new()] == [1, 2, 3]


def test_a_line_that_does_not_fit_on_the_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr("os.write", lambda descriptor, content: write(descriptor, content[:3]))
    with pytest.raises(OSError, match="No space left"):
        jsonl.append(tmp_path / "events.jsonl", {"n": 1})
