from __future__ import annotations

import pytest

from yoloscale.config.check.placement import NAME_BYTES, name_problems
from yoloscale.config.schema import Config
from yoloscale.sweep.grammar.names import folder_names
from yoloscale.sweep.grammar.points import Choice, Point, expand


def names(*tokens: str) -> list[str]:
    return folder_names(expand(tokens))


def point(**values: str) -> Point:
    return Point(0, (), tuple(Choice(key, f"{key}={word}", word) for key, word in values.items()))


def test_what_varies_in_the_order_typed() -> None:
    assert names("epochs=3", "lr0=0.01,0.1", "name=x", "model=yolo26n,yolo26s") == [
        *("lr0=0.01,model=yolo26n", "lr0=0.01,model=yolo26s", "lr0=0.1,model=yolo26n", "lr0=0.1,model=yolo26s"),
    ]


def test_values_are_said_as_a_person_would() -> None:
    assert names("lr0=range(0.1,0.35,0.1)") == ["lr0=0.1", "lr0=0.2", "lr0=0.3"]
    assert names("+experiment='smoke','finetune'") == ["experiment=smoke", "experiment=finetune"]
    assert names("data=a/x.yaml,/b/y.yaml") == ["data=a-x.yaml", "data=-b-y.yaml"]
    assert names("classes=[0,1],[2]", "cos_lr=true,false")[0] == "classes=[0,1],cos_lr=true"


@pytest.mark.parametrize(
    "words",
    [
        *(
            ["a\nb"],
            [" x "],
            ["é" * 150, "é" * 150 + "x"],
            ["../.."],
            ["$(touch x)", "`id`"],
            ["\x7f", "\x00"],
            ["🙂" * 90],
        ),
    ],
)
def test_names_are_folder_names(words: list[str]) -> None:
    found = folder_names([point(pretrained=word) for word in words])
    assert len(set(found)) == len(words)
    for name in found:
        assert name_problems(name) == []
        assert "/" not in name
        assert len(name.encode()) <= NAME_BYTES
    assert Config(name=found[0]).name


def test_names_that_come_out_alike_get_a_digest() -> None:
    one, other, third = folder_names([point(data="a/x"), point(data="a-x"), point(data="A-X")])
    assert len({one.casefold(), other.casefold(), third.casefold()}) == 3
    assert one.startswith("data=a-x-")
    assert folder_names([point(data="a/x"), point(data="b")]) == ["data=a-x", "data=b"]


def test_a_name_does_not_depend_on_what_is_fixed() -> None:
    long = [f"pretrained={'x' * 300}.pt,{'y' * 300}.pt"]
    assert names(*long, "epochs=3") == names("epochs=4", *long)
