from __future__ import annotations

from pathlib import Path

from yoloscale.runs.tail import Tail, last_lines


def test_each_whole_line_is_given_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    assert tail.new() == []
    path.write_text('{"a":1}\n{"a":2}\n{"a"')
    assert tail.new() == [{"a": 1}, {"a": 2}]
    with path.open("a") as file:
        file.write(":3}\n")
    assert tail.new() == [{"a": 3}]
    assert tail.new() == []


def test_damaged_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"a":1}\n{"a":\n[1]\n{"a":2}\n')
    assert Tail(path).new() == [{"a": 1}, {"a": 2}]


def test_the_recent_part_begins_with_a_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f'{{"step":{step}}}\n' for step in range(1000)))
    recent = Tail(path, last_bytes=100).new()
    assert recent[-1] == {"step": 999}
    assert 2 < len(recent) < 10


def test_last_lines_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "rank-0.log"
    assert last_lines(path, 3) == []
    path.write_bytes(b"first\n\xff\nlast")
    assert last_lines(path, 2) == ["�", "last"]
