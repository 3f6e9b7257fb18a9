"""Folders and globs against what Python's own tools list, on trees drawn at random."""

from __future__ import annotations

import glob
import os
import random
from pathlib import Path

import pytest
from tests.manifest.manifests import touch

from yoloscale.manifest.folders import matches, sorted_names, walk
from yoloscale.system.remarks import silent


def random_tree(base: Path, seed: int) -> list[str]:
    """Paths of images, with names that sort otherwise than their folders do."""
    draw = random.Random(seed)
    folders = [""]
    for _ in range(12):
        folders.append(draw.choice(folders) + draw.choice(["a", "a-b", "a.b", "a b", "B", "é", "a0", "[1]", "x"]) + "/")
    names = {f"{draw.choice(folders)}{draw.choice('abc-. é[!')}{draw.randrange(99)}.jpg" for _ in range(80)}
    touch(base, *names)
    return [name for name in names if not name.rpartition("/")[2].startswith(".")]


@pytest.mark.parametrize("seed", range(5))
def test_a_walk_is_sorted_by_the_bytes_of_whole_paths(tmp_path: Path, seed: int) -> None:
    names = random_tree(tmp_path, seed)
    assert list(walk("", str(tmp_path), silent)) == sorted(names, key=os.fsencode)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "pattern",
    [
        *("*.jpg", "*/*.jpg", "**/*.jpg", "a*/**/*.jpg", "**/a*/*.jpg", "a/**/?[0-4].jpg"),
        *("[!a]*/*.jpg", "**/[[]1]/*.jpg", "*/[]a!]?.jpg", "[z-a]/*.jpg", "**/**/*1.jpg"),
    ],
)
def test_a_glob_matches_what_python_matches(tmp_path: Path, seed: int, pattern: str) -> None:
    random_tree(tmp_path, seed)
    paths = glob.glob(pattern, root_dir=tmp_path, recursive=True)  # noqa: PTH207  # Path's own takes no [z-a]
    expected = {path for path in paths if (tmp_path / path).is_file()}
    assert list(matches(pattern, str(tmp_path), silent)) == sorted(expected, key=os.fsencode)


def test_a_glob_from_the_root_and_into_a_hidden_folder_that_is_named(tmp_path: Path) -> None:
    touch(tmp_path, ".kept/a.jpg", ".kept/deep/b.jpg")
    assert list(matches(f"{tmp_path}/.kept/*.jpg", "/", silent)) == [f"{tmp_path}/.kept/a.jpg"]
    assert list(matches(".kept/**", str(tmp_path), silent)) == [".kept/a.jpg", ".kept/deep/b.jpg"]
    assert list(matches(".kept/*/", str(tmp_path), silent)) == [".kept/deep/b.jpg"]
    assert list(matches("nowhere/*.jpg", str(tmp_path), silent)) == []


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 49, 1_000])
def test_names_that_do_not_fit_are_sorted_in_a_file(count: int) -> None:
    draw = random.Random(count)
    names = [bytes(draw.choices(range(1, 256), k=draw.randrange(1, 30))) for _ in range(count)]
    assert list(sorted_names(iter(names), most=7)) == sorted(names)


def test_only_a_part_of_a_large_folder_is_in_memory_at_once() -> None:
    alive = 0
    most = 0

    class Name(bytes):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def names() -> object:
        nonlocal alive, most
        for number in range(1_000):
            alive += 1
            most = max(most, alive)
            yield Name(f"{number * 7919 % 1_000:04}".encode())

    stream = sorted_names(names(), most=10)  # type: ignore[arg-type]
    assert list(stream) == [f"{number:04}".encode() for number in range(1_000)]
    assert most <= 21  # the part that is sorted, the one before it, and the next name
