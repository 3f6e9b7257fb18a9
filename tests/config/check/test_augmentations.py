"""`augmentations=` in the forms that people and Albumentations write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from yoloscale.config.check.augmentations import read
from yoloscale.config.compose.hydra import compose
from yoloscale.config.schema import Config
from yoloscale.config.typed import from_plain, to_plain
from yoloscale.errors import ConfigError

BLUR = {"Blur": {"p": 0.1, "blur_limit": [3, 7]}}
DICTIONARY = {"__version__": "2.0.8", "transform": {"__class_fullname__": "Blur", "p": 0.5}}


@pytest.mark.parametrize(
    ("content", "items"),
    [
        ([BLUR, "ToGray", {"CLAHE": None}], [BLUR, {"ToGray": {}}, {"CLAHE": {}}]),
        ({"Blur": {"p": 0.1}, "ToGray": None}, [{"Blur": {"p": 0.1}}, {"ToGray": {}}]),
        ({"augmentations": [BLUR]}, [BLUR]),
        ([{"OneOf": [BLUR, "ToGray"]}], [{"OneOf": {"transforms": [BLUR, {"ToGray": {}}]}}]),
        (
            [{"OneOf": {"transforms": [{"Sequential": ["ToGray"]}], "p": 0.3}}],
            [{"OneOf": {"transforms": [{"Sequential": {"transforms": [{"ToGray": {}}]}}], "p": 0.3}}],
        ),
        ([DICTIONARY], [DICTIONARY]),
        (DICTIONARY, [DICTIONARY]),
        (
            {
                "__version__": "2.0.8",
                "transform": {"__class_fullname__": "Compose", "transforms": [{"p": 1}, {"p": 2}]},
            },
            [{"__version__": "2.0.8", "transform": {"p": 1}}, {"__version__": "2.0.8", "transform": {"p": 2}}],
        ),
        ([], []),
    ],
)
def test_all_forms_are_one_list(content: Any, items: list[dict[str, Any]], tmp_path: Path) -> None:
    assert read(content) == items
    file = tmp_path / "own file.yaml"
    file.write_text(yaml.safe_dump(content))
    config = compose([f"augmentations={file}"])
    assert config.augmentations == items
    assert from_plain(to_plain(config), Config).augmentations == items  # as a rank reads it
    assert read(items) == items


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("- Blur: {p: 0.1}\n- [3]\n- Blur: 3\n", ["item 2 is [3]", "item 3, Blur: 3"]),
        ("- OneOf: [Blur, 7]\n", ["OneOf"]),
        ("- {Blur: {}, CLAHE: {}}\n", ["item 1 is"]),
        ("- Blur: {p: 0.1\n", ["own.yaml:2: no YAML"]),
        ("7\n", ["int, no list"]),
        (None, ["cannot be read"]),
    ],
)
def test_a_mistake_is_told_by_its_place(content: str | None, said: list[str], tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "own.yaml").write_text(content)
    with pytest.raises(ConfigError) as refused:
        compose([f"augmentations={tmp_path / 'own.yaml'}"])
    for part in said:
        assert part in str(refused.value)


def test_nothing_and_none_are_told_apart() -> None:
    assert compose([]).augmentations is None
    assert compose(["augmentations=null"]).augmentations is None
    assert compose(["augmentations=[]"]).augmentations == []
    assert compose(["augmentations=[{Blur:{p:0.1}},ToGray]"]).augmentations == [{"Blur": {"p": 0.1}}, {"ToGray": {}}]
