"""A dataset YAML that a person wrote: taken where Ultralytics takes it, and line, cause and cure where it does not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import check_det_dataset

from yoloscale.config.schema import Task
from yoloscale.datasets.check import yaml
from yoloscale.datasets.check.yaml import DatasetYaml, Reads
from yoloscale.errors import ConfigError

SPLITS = "train: images/train\nval: images/val\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset's folders, with a YAML to come."""
    for split in ("train", "val", "test"):
        (tmp_path / "images" / split).mkdir(parents=True)
    return tmp_path


def read(folder: Path, text: str | bytes, reads: Reads | None = None) -> DatasetYaml:
    file = folder / "data.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return yaml.read(file, lambda: folder / "datasets", reads)


def said(folder: Path, text: str, reads: Reads | None = None) -> str:
    """The problems of a YAML, its folder left out."""
    with pytest.raises(ConfigError) as raised:
        read(folder, text, reads)
    return str(raised.value).replace(f"{folder}/", "")


# split, text: what Ultralytics is asked as well
ORACLE = [
    ("val", f"{SPLITS}names: [a, b]\n"),
    ("val", f"{SPLITS}nc: 2\n"),
    ("val", f"{SPLITS}nc: '2'\nnames: [a, b]\n"),
    ("val", f"{SPLITS}nc: 2.0\nnames: [a, b]\n"),
    ("val", f"{SPLITS}nc: 2e0\nnames: [a, b]\n"),
    ("val", f"{SPLITS}nc: 1.9\nnames: [a]\n"),
    ("val", f"{SPLITS}nc:\nnames: [a]\n"),
    ("val", f"{SPLITS}nc: yes\nnames: [a]\n"),
    ("val", f"{SPLITS}nc: [a, b]\n"),
    ("val", f"{SPLITS}nc: 0\n"),
    ("val", f"{SPLITS}nc: -1\n"),
    ("val", f"{SPLITS}nc: 3\nnames: [a, b]\n"),
    ("val", f"{SPLITS}nc: '{{{{ count }}}}'\nnames: [a, b]\n"),
    ("val", SPLITS),
    ("val", f"{SPLITS}names:\n"),
    ("val", f"{SPLITS}names: None\nnc: 1\n"),
    ("val", f"{SPLITS}names: []\n"),
    ("val", f"{SPLITS}names: {{}}\n"),
    ("val", f"{SPLITS}names: a\n"),
    ("val", f"{SPLITS}names: 2\n"),
    ("val", f"{SPLITS}names: {{cat: 0, dog: 1}}\n"),
    ("val", f"{SPLITS}names: {{yes: 0, no: 1}}\n"),
    ("val", f"{SPLITS}names: {{1: a, 2: b}}\n"),
    ("val", f"{SPLITS}names: {{0: a, 2: b}}\n"),
    ("val", f"{SPLITS}names: {{0.0: a, 1.0: b}}\n"),
    ("val", f"{SPLITS}names: {{'0': a, '1': b}}\n"),
    ("val", f"{SPLITS}names: {{'0.0': a}}\n"),
    ("val", f"{SPLITS}names: {{0: a, 1: b, 1: c}}\n"),
    ("val", f"{SPLITS}names: [yes, no, on, ~, 01, 12:30:00, 2024-01-05, 1.50, 0x1F, a, a]\n"),
    ("val", f"{SPLITS}names:\n- a: b\n- [c]\n-\n"),
    ("val", f"{SPLITS}names:\n  00: a\n  01: b\n  02: c\n  03: d\n  04: e\n  05: f\n  06: g\n  07: h\n  010: i\n"),
    ("val", "train: images/train\nnames: [a]\n"),
    ("val", "train: images/train\nval:\nnames: [a]\n"),
    ("val", "train: images/train\nvalidation: images/val\nnames: [a]\n"),
    ("val", "train: images/train\nvalid: images/val\nnames: [a]\n"),
    ("test", "train: images/train\nval:\ntest: images/test\nnames: [a]\n"),
    ("test", "train: images/train\nval: nowhere\ntest: images/test\nnames: [a]\n"),
    ("test", "train: images/train\ntest: images/test\nnames: [a]\n"),
    ("test", f"{SPLITS}names: [a]\n"),
    ("test", f"{SPLITS}test: ''\nnames: [a]\n"),
    ("minival", f"{SPLITS}minival: images/test\nnames: [a]\n"),
    ("val", f"{SPLITS}test: 7\nnames: [a]\n"),
    ("val", f"{SPLITS}path: 7\nnames: [a]\n"),
    ("val", f"{SPLITS}path: null\nnames: [a]\n"),
    ("val", "train: [images/train, 7]\nval: images/val\nnames: [a]\n"),
    ("val", "train: {a: b}\nval: images/val\nnames: [a]\n"),
    ("val", "train: images/nowhere\ntrain: images/train\nval: images/val\nnames: [a]\n"),
    ("val", f"{SPLITS}names: [a]\nkpt_shape: [17]\n"),
    ("val", f"{SPLITS}names: [a]\nkpt_shape: [17, 3]\nflip_idx: [0, 7]\n"),
    ("val", f"{SPLITS}names: [a]\nkpt_shape: 17\n"),
    ("val", f"{SPLITS}names: [a]\nkpt_shape:\n"),
    ("val", f"{SPLITS}names: [a]\nflip_idx:\n"),
    ("val", f"{SPLITS}names: [a]\nflip_idx: 3\n"),
    ("val", f"\ufeff{SPLITS}names: [a]\n"),
    ("val", f"{SPLITS}names: [a]\n\x00\x07"),
    ("val", f"{SPLITS}names: [a\n"),
    ("val", "- a\n"),
    ("val", ""),
    ("val", f"{SPLITS}names: *classes\n"),
    ("val", "base: &base\n  train: images/train\n  val: images/val\n<<: *base\nnames: [a]\n"),
    ("val", f"{SPLITS}names: [a]\nnote: 2024-13-45\n"),
]


@pytest.mark.parametrize(("split", "text"), ORACLE)
def test_it_is_taken_if_and_only_if_ultralytics_takes_it(
    split: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ultralytics.data.utils.check_font", lambda font: None)  # it would be downloaded
    file = folder / "data.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        theirs = check_det_dataset(str(file), autodownload=False, split=split)
        arguments = SimpleNamespace(task="detect", data=theirs, img_path=theirs["train"], imgsz=64)
        with monkeypatch.context() as patch:  # what it does with the keys, not with images
            patch.setattr("ultralytics.data.base.BaseDataset.__init__", lambda self, *_, **__: None)
            YOLODataset(**vars(arguments)).verify_args  # noqa: B018
        names = theirs["names"]
    except (SyntaxError, TypeError, KeyError, ValueError, FileNotFoundError, OverflowError):
        names = None
    try:
        ours = yaml.read(file, lambda: folder / "datasets", Reads(split=split)).names
    except ConfigError:
        ours = None
    assert ours == names


@pytest.mark.parametrize(
    ("text", "line", "found", "instead"),
    [
        ("train: a\nval: 'b\nnames: [c]\n", 2, "quote that begins here does not end", "same quote"),
        ("train: a\n\tval: b\nnames: [c]\n", 2, "a tab", "'val: b'"),
        ("train: a\nval: b\nnames:\n\t- cat\n", 4, "a tab", "'  - cat'"),
        ("train: a\nval: b\nnames:\n  0:\tcat\n 1: dog\n", 5, "indented otherwise", "first column"),
        ('train: "D:\\parts\\train"\nval: b\nnames: [c]\n', 1, "Windows path", "train: /path/to/images"),
        ('train: a\nval: "images\\Val"\nnames: [c]\n', 2, "backslash", 'val: "images/Val"'),
        ("train: a\nval: b\nnames: [c, d\n", 3, "has no ]", "commas"),
        ("train: a\nval: b\nnames: {0: c\ntest: d\n", 3, "has no }", "commas"),
        ("train:a\nval: b\nnames: [c]\n", 1, "no space behind the colon", "write train: a"),
        ("train: a\nval: b: c\nnames: [c]\n", 2, "second colon", "val: 'b: c'"),
        ("train: @lists/a\nval: b\nnames: [c]\n", 1, "@ has a meaning", "train: '@lists/a'"),
        ("train: a\nval: *.jpg\nnames: [c]\n", 2, "* has a meaning", "val: '*.jpg'"),
        ("train: a\nval: b\nnames: [c, %d]\n", 3, "% has a meaning", "'%d'"),
        (" train: a\nval: b\nnames: [c]\n", 2, "indented otherwise", "first column"),
        ("train: a\nval: b\nnames: [c]\n---\nx: 1\n", 4, "second document", "one document"),
        ("train: a\nval: b\nnames: {{ classes }}\n", 3, "placeholder", "value itself"),
        ("train: a\nval: 2024-13-45\nnames: [c]\n", 2, "taken for a date", "'2024-13-45'"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n", 1, "Git LFS", "git lfs pull"),
        ("\n<!DOCTYPE html>\n", 1, "web page", "download"),
        ("train = a\nval = b\n", 1, "with =", "write train: a"),
        ("- a\n", 1, "holds a list", "names:"),
        ("{\ntrain: a\nval: b\n}\n", 1, "between { and }", "leave { and } out"),
        ("train: a\nval: b\nnames:\n  0: 'it's'\n", 4, "apostrophe", "between double quotes"),
        ("train: a\nval: b\nnames: ['a', 'ox's']\n", 3, "apostrophe", "between double quotes"),
        ('"train": "a",\n"val": "b"\n', 1, "a comma behind the value", 'write "train": "a"'),
        ("train: a\nval: b\nnames: [c],\n", 3, "a comma behind the value", "write names: [c]"),
        ("train：a\nval: b\nnames: [c]\n", 1, "full-width colon", "write train: a"),
        ("text = '''\ntrain: a\nval: b\n'''\n", 1, "is no key with a value", "take the line out"),
        ("%cat x\ntrain: a\n", 1, "%", "write"),
    ],
)
def test_a_file_that_is_no_yaml_is_told_by_line_cause_and_cure(
    text: str, line: int, found: str, instead: str, folder: Path
) -> None:
    told = said(folder, text)
    assert f"data.yaml:{line}: " in told
    assert found in told
    assert instead in told


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("train: a\nvalid: b\nnames: [c]\n", "data.yaml", "line 2, which says valid:"),
        ("Train: a\nval: b\nnames: [c]\n", "data.yaml", "line 1, which says Train:"),
        ("train: lists/train.txt\nnames: [c]\n", "data.yaml", "val: lists/train.txt evaluates on those"),
        ("train:\nval: b\nnames: [c]\n", "data.yaml:1", "is empty"),
        ("val: b\nvalidation: c\nnames: [c]\ntrain: {a: b}\n", "data.yaml:4", "write text or a list"),
        ("val: b\nflip_idx: 0, 2,1\nnames: [c]\ntrain: a\n", "data.yaml:2", "write flip_idx: [0, 2, 1]"),
        ("val: b\nkpt_shape: (17, 3)\nnames: [c]\ntrain: a\n", "data.yaml:2", "write kpt_shape: [17, 3]"),
        ("val: b\npath: 2024\nnames: [c]\ntrain: a\n", "data.yaml:2", "'2024'"),
        ("val: b\ntrain:\n- a\n- 7\nnames: [c]\n", "data.yaml:4", "entry 7"),
    ],
)
def test_splits_that_are_not_there(text: str, place: str, words: str, folder: Path) -> None:
    told = said(folder, text)
    assert place in told
    assert words in told


def test_only_the_evaluated_split_is_read(folder: Path) -> None:
    evaluates_test = Reads(split="test")
    text = "train: images/train\nval:\ntest: images/test\nnames: [a]\n"
    assert set(read(folder, text, evaluates_test).splits) == {"train", "test"}
    assert "data.val: data.yaml:2: is empty" in said(folder, text)
    assert "may be empty" in said(folder, text.replace("val:\n", ""), evaluates_test)
    assert "data.test: missing in data.yaml" in said(folder, f"{SPLITS}names: [a]\n", evaluates_test)


def test_a_key_that_is_there_twice_is_told(folder: Path) -> None:
    (told,) = read(folder, f"train: images/test\n{SPLITS}names: [a]\n").remarks
    assert told == f"{folder}/data.yaml:2: train: again; line 1 with the same key is not used"


def test_a_merged_key_is_not_taken_for_a_repeated_one(folder: Path) -> None:
    text = "base: &base\n  train: images/train\n  val: images/val\n<<: *base\ntrain: images/test\nnames: [a]\n"
    assert read(folder, text).remarks == ()


def test_masks_that_are_mapped_wrongly_matter_to_semantic_only(folder: Path) -> None:
    text = f"{SPLITS}names: [a]\nlabel_mapping: {{0: sky}}\n"
    assert read(folder, text).label_mapping == {}
    assert "data.label_mapping: data.yaml:4: is {0: 'sky'}" in said(folder, text, Reads(Task.semantic))
    good = text.replace("sky", "ignore_label, 7: 1")
    assert read(folder, good, Reads(Task.semantic)).label_mapping == {0: 255, 7: 1}
