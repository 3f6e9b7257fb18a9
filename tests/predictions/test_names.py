from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from yoloscale.predictions.names import MAX_PART, Names, as_folder, load, names_of

Image = tuple[str, int | None]


def named(images: Sequence[Image]) -> list[str]:
    names = names_of(images)
    return [names.of(index, source, frame) for index, (source, frame) in enumerate(images)]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["/d/images/train/a.jpg", "/d/images/val/b.jpg"], ["train/a", "val/b"]),
        (["/d/images/a.jpg"], ["a"]),
        (["a.jpg", "x/b.jpg"], ["a", "x/b"]),
        (["/d/a.jpg", "/d/a.png", "/d/b.jpg"], ["a@0", "a@1", "b"]),
        (["/d/one/a.jpg", "/e/one/a.jpg"], ["d/one/a", "e/one/a"]),
        (["/d/a.jpg", "/d/b.jpg", "/d/a.jpg"], ["a@0", "b", "a@2"]),
        (["/d/a.jpg", "/d/a.png", "/d/a@0.jpg"], ["a@0", "a@1", "a@0@2"]),
        (["http://h/x/a.jpg?size=1&f=/b", "http://h/x/b.jpg#top"], ["a", "b"]),
        (["http://h/x/a.jpg?size=1", "http://h/x/a.jpg?size=2"], ["a@0", "a@1"]),
        (["s3://bucket/x/a.jpg", "/y/b.jpg"], ["bucket/x/a", "y/b"]),
        (["/d/set.tar!train/a.jpg", "/d/set.tar!val/a.jpg", "/d/c.jpg"], ["set.tar/train/a", "set.tar/val/a", "c"]),
        (["/d/set.tar!../../../a.jpg", "/d/b.jpg"], ["set.tar/a", "b"]),
        (["../../x/a.jpg", "y/b.jpg"], ["x/a", "y/b"]),
        (["/d/a.txt/x.jpg", "/d/a.jpg"], ["a.txt@/x", "a"]),
        (["/d/a.jpg/x.jpg", "/d/a.png"], ["a.jpg@/x", "a"]),
        (["/d/photo"], ["photo"]),
        (["/d/a b\n'$.jpg", "/d/ü.jpg"], ["a b\n'$", "ü"]),
    ],
)
def test_names(sources: list[str], expected: list[str]) -> None:
    assert named([(source, None) for source in sources]) == expected


def test_frames_of_a_video_and_an_image_of_such_a_name() -> None:
    images: list[Image] = [("/d/clip.mp4", 0), ("/d/clip.mp4", 1), ("/d/clip_1.jpg", None), ("/e/clip.mp4", 0)]
    assert named(images) == ["d/clip_0", "d/clip_1@1", "d/clip_1@2", "e/clip_0"]


def test_no_name_is_given_twice_and_none_leads_out_of_the_folder() -> None:
    stems = ["a", "a@0", "a@1", "a@0@1", "@3", "", "..", ".", "x.txt", "x", "x.jpg", "é" * 200, "é" * 200 + "b"]
    folders = ["", "/", "x.txt/", "../", "x.jpg/", "a@1/", "s.tar!"]
    sources = [f"{folder}{stem}{suffix}" for folder in folders for stem in stems for suffix in (".jpg", ".png", "")]
    images: list[Image] = [(source, frame) for source in sources for frame in (None, 0, 1)]
    files = [f"{name}.jpg" for name in named(images)]
    assert len(set(files)) == len(images)
    folders_made = {str(parent) for file in files for parent in Path(file).parents}
    assert not folders_made & set(files)  # a file where another image needs a folder
    for file in files:
        parts = file.split("/")
        assert not {"", ".", ".."} & set(parts)
        assert max(len(part.encode()) for part in parts) <= MAX_PART + 40


def test_the_name_of_an_image_does_not_depend_on_the_order_in_which_images_are_read() -> None:
    images: list[Image] = [("/d/x/a.jpg", None), ("/d/a.jpg", None), ("/d/a.png", None), ("/d/x/y/b.jpg", 3)]
    forward, backward = names_of(images), names_of(reversed(images))
    assert [forward.of(5, *image) for image in images] == [backward.of(5, *image) for image in images]


def test_names_are_handed_to_other_ranks(tmp_path: Path) -> None:
    images: list[Image] = [("/d/x/a.jpg", None), ("/d/a.jpg", None), ("/d/a.png", None)]
    names = names_of(images)
    names.save(tmp_path / "names.npz")
    other = load(tmp_path / "names.npz")
    assert isinstance(other, Names)
    assert [other.of(n, *image) for n, image in enumerate(images)] == ["x/a", "a@1", "a@2"]
    assert [path.name for path in tmp_path.iterdir()] == ["names.npz"]


def test_no_images_at_all() -> None:
    assert names_of([]).root == ()


@pytest.mark.parametrize(
    ("name", "folder"),
    [("disc", "disc"), ("a/b", "a-b"), ("..", "..@"), ("", "@"), ("x.jpg", "x.jpg@"), ("n\0ul", "nul")],
)
def test_a_class_as_a_folder(name: str, folder: str) -> None:
    assert as_folder(name) == folder
