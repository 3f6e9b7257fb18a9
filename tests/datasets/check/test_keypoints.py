"""Keypoint keys: values that would fail or train mirrored nonsense, named with the list that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.datasets.check.test_yaml import SPLITS, folder, read, said

from yoloscale.config.schema import Task
from yoloscale.datasets.check.yaml import Reads

__all__ = ["folder"]  # a fixture

POSE = Reads(Task.pose)
FIVE = f"{SPLITS}names: [a]\nkpt_shape: [5, 2]\n"
FACE = "kpt_names: {0: [nose, left_eye, right_eye, ear-L, ear-R]}\n"


@pytest.mark.parametrize(
    ("flip", "found", "instead"),
    [
        ("[1, 3, 2, 5, 4]", "begin at 1", "write flip_idx: [0, 2, 1, 4, 3]"),
        ("[[1, 2], [3, 4]]", "list of pairs", "write flip_idx: [0, 2, 1, 4, 3]"),
        ("[[2, 3], [4, 5]]", "list of pairs", "write flip_idx: [0, 2, 1, 4, 3]"),
        ("[0, 2, 1]", "3 entries for 5 keypoints", "write each of 0 … 4 once"),
        ("[0, 2, 1, 4, 3, 5]", "6 entries for 5 keypoints", "write each of 0 … 4 once"),
        ("[0, 2, 1, 4, 4]", "4 more than once, 3 not at all", "write each of 0 … 4 once"),
        ("[0, 2, 1, 4, 9]", "9 is no keypoint of 0 … 4", "write flip_idx: [0, 2, 1, 4, 3]"),
        ("[0, 2, 1, 4, -2]", "-2 is no keypoint", "write flip_idx: [0, 2, 1, 4, 3]"),
        ("[0, 2, 3, 1, 4]", "1 becomes 2, but 2 becomes 3", "write each of 0 … 4 once"),
        ("[0, 2, 1, 4, 3.0]", "3.0 is no index", "write each of"),
        ("[nose, 2, 1, 4, 3]", "'nose' is no index", "write each of"),
        ("", "is empty", "write 5 indices"),
    ],
)
def test_a_list_that_does_not_mirror(flip: str, found: str, instead: str, folder: Path) -> None:
    text = f"{FIVE}flip_idx: {flip}\n"
    told = said(folder, text, POSE)
    assert "data.flip_idx: data.yaml:5: " in told
    assert found in told
    assert instead in told
    read(folder, text, Reads(Task.detect))


def test_the_names_of_keypoints_tell_the_list(folder: Path) -> None:
    text = f"{FIVE}{FACE}flip_idx: [0, 2, 3, 1, 4]\n"
    assert "write flip_idx: [0, 2, 1, 4, 3]" in said(folder, text, POSE)


@pytest.mark.parametrize("flip", ["[0, 1, 2, 3, 4]", "[4, 3, 2, 1, 0]", "[0, 2, 1, 4, 3]"])
def test_a_list_that_mirrors_is_taken_without_a_word(flip: str, folder: Path) -> None:
    assert read(folder, f"{FIVE}flip_idx: {flip}\n", POSE).remarks == ()


def test_without_flips_the_values_are_not_read(folder: Path) -> None:
    still = Reads(Task.pose, flips=False)
    assert read(folder, f"{FIVE}flip_idx: [0, 2, 3, 1, 4]\n", still).remarks == ()
    assert read(folder, FIVE, still).remarks == ()
    assert "3 entries" in said(folder, f"{FIVE}flip_idx: [0, 2, 1]\n", still)  # Ultralytics counts them all the same


@pytest.mark.parametrize(("line", "words"), [("flip_idx: []\n", "5: flip_idx is empty"), ("", " has no flip_idx")])
def test_flips_that_are_switched_off_are_told(line: str, words: str, folder: Path) -> None:
    (remark,) = read(folder, FIVE + line, POSE).remarks
    assert words in remark
    assert "fliplr and flipud are switched off" in remark
    (remark,) = read(folder, FIVE + line + FACE, POSE).remarks
    assert "write flip_idx: [0, 2, 1, 4, 3]" in remark
    assert read(folder, FIVE + line).remarks == ()


@pytest.mark.parametrize("shape", ["[5]", "[5, 4]", "[5, '3']", "[0, 3]", "[5.0, 3]", "[5, 3, 1]", "[yes, 2]"])
def test_a_shape_is_two_whole_numbers(shape: str, folder: Path) -> None:
    told = said(folder, f"{SPLITS}names: [a]\nkpt_shape: {shape}\n", POSE)
    assert "data.kpt_shape: data.yaml:4: " in told
    assert "write [number of keypoints, 2 or 3]" in told


def test_a_shape_that_is_not_there_matters_to_pose(folder: Path) -> None:
    text = f"{SPLITS}names: [a]\n"
    assert "missing in data.yaml; the task is pose" in said(folder, text, POSE)
    assert "data.yaml:4: is empty" in said(folder, f"{text}kpt_shape:\n", POSE)
    read(folder, text)


def test_names_and_sigmas_are_as_many_as_keypoints(folder: Path) -> None:
    text = f"{FIVE}flip_idx: [0, 2, 1, 4, 3]\n"
    (remark,) = read(folder, f"{text}kpt_names: {{0: [nose]}}\n", POSE).remarks
    assert remark == f"{folder}/data.yaml:6: kpt_names has 1 names for 5 keypoints (kpt_shape, line 4)"
    for sigmas in ("[1, 1]", "[1, 1, 1, 1, 0]", "wide"):
        assert "write 5 positive numbers" in said(folder, f"{text}kpt_oks_sigmas: {sigmas}\n", POSE)
    assert read(folder, f"{text}kpt_oks_sigmas: [1, 1, 1, 1, 0.5]\n", POSE).remarks == ()
