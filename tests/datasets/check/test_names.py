"""Class names and their ids: what is wrong, what to write, and what is trained otherwise than it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.datasets.check.test_yaml import SPLITS, folder, read, said

from yoloscale.datasets.check.yaml import Reads

__all__ = ["folder"]  # a fixture


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("names: {bolt: 0, nut: 1, yes: 2}\n", 3, "write names: {0: bolt, 1: nut, 2: 'True'}"),
        ("names:\n  nut: 1\n  bolt: 0\n", 3, "write names: {0: bolt, 1: nut}"),
        ("names: {1: bolt, 2: nut}\n", 3, "write names: [bolt, nut], and count from 0"),
        ("names:\n  0: bolt\n  1: nut\n  4: rod\n", 3, "not there: 2, 3"),
        ("names: {-1: bolt, 0: nut}\n", 3, "has the id -1"),
        ("names: {0: bolt, '0': nut}\n", 3, "two entries have the id 0"),
        ("names: {bolt, nut}\n", 3, "write names: [bolt, nut]"),
        ("names: bolt, nut\n", 3, "write names: [bolt, nut]"),
        ("names:\n  0:bolt\n  1:nut\n", 3, "write names: {0: bolt, 1: nut}"),
        ("names: \\['bolt', 'nut'\\]\n", 3, "write names: [bolt, nut]"),
        ("names: 7\n", 3, "write nc: 7"),
        ("names: []\n", 3, "is empty"),
        ("nc: [bolt, on]\n", 3, "write names: [bolt, true]"),
        ("names: [bolt]\nnc: ten\n", 4, "'ten'"),
        ("names: [bolt]\nnc:\n", 4, "is empty"),
        ("nc: 3\nnames: [bolt, nut]\n", 4, "nc says 3 (data.yaml:3)"),
        ("classes: [bolt, nut]\n", 3, "write names: [bolt, nut]"),
        ("nmaes: {0: bolt}\n", 3, "write names: {0: bolt}"),
    ],
)
def test_names_that_do_not_train(text: str, line: int, words: str, folder: Path) -> None:
    told = said(folder, SPLITS + text)
    assert f"data.yaml:{line}" in told
    assert words in told


def test_a_file_of_names_is_proposed_as_a_list(folder: Path) -> None:
    (folder / "obj.names").write_text("bolt\nno\n\nhex nut\n")
    assert "write names: [bolt, 'no', hex nut]" in said(folder, f"{SPLITS}names: obj.names\n")


@pytest.mark.parametrize(
    ("entry", "trained", "told"),
    [
        ("no", "False", 'no without quotes, gets the name False; write "no"'),
        ("Off", "False", 'write "Off"'),
        ("12:30:00", "45000", 'write "12:30:00"'),
        ("010", "8", 'write "010"'),
        ("1_000", "1000", 'write "1_000"'),
        ("~", "None", 'write "~"'),
        ("1.50", "1.5", 'write "1.50"'),
        ("", "None", "has no name"),
        ("{7: dog}", "{7: 'dog'}", "write dog"),
        ("{name: dog, id: 1}", "{'name': 'dog', 'id': 1}", "write one name"),
        ('"no"', "no", None),
        ("7", "7", None),
        ("2024-01-05", "2024-01-05", None),
        ("1e3", "1e3", None),
    ],
)
def test_names_that_yaml_takes_for_something_else(entry: str, trained: str, told: str | None, folder: Path) -> None:
    text = f"{SPLITS}names:\n- cat\n- {entry}\n"
    dataset = read(folder, text)
    assert dataset.names == {0: "cat", 1: trained}
    if told is None:
        assert dataset.remarks == ()
    else:
        (remark,) = dataset.remarks
        assert remark.startswith(f"{folder}/data.yaml:5: class 1")
        assert told in remark
    assert read(folder, text, Reads(single_cls=True)).remarks == ()


def test_ids_and_names_that_are_there_twice_are_told(folder: Path) -> None:
    dataset = read(folder, f"{SPLITS}names:\n  0: cat\n  1: dog\n  1: cow\n  2.0: cat\n")
    assert dataset.names == {0: "cat", 1: "cow", 2: "cat"}
    assert [remark.removeprefix(f"{folder}/data.yaml:") for remark in dataset.remarks] == [
        "7: the class id 2.0 is read as 2; write 2",
        "4, 7: classes 0, 2 are all named cat; they are trained as 2 classes",
        "6: the class id 1 again (line 5 gave it before); the last name is taken",
    ]


def test_many_odd_names_are_summed_up(folder: Path) -> None:
    remarks = read(folder, f"{SPLITS}names: [{', '.join(f'0{n}' for n in range(10, 22))}]\n").remarks
    assert len(remarks) == 6
    assert "more such entries" in remarks[-1]
