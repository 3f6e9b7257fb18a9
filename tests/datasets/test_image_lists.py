"""Lists of images: lines are found where Ultralytics finds them; what is wrong is told with the line and a command."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.datasets.folders import dataset_in
from ultralytics.data.base import BaseDataset

from yoloscale.config.schema import DataConfig, Task
from yoloscale.datasets import sources
from yoloscale.datasets.check import dataset as check
from yoloscale.datasets.check import images as check_images
from yoloscale.errors import ConfigError, Problem


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset with lists in a folder whose name wants quotes; the working folder is another one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    folder = dataset_in(tmp_path / "my #1 & 'set'")
    (folder / "data.yaml").write_text("train: train.txt\nval: images/val\nnames: [a]\n")
    return folder


def run_check(folder: Path, text: str | bytes) -> tuple[check.DatasetReport, list[str]]:
    said: list[str] = []
    (folder / "train.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    source = sources.prepare(DataConfig(source=str(folder / "data.yaml")), Task.detect, folder / "cache", said.append)
    return check.check(source, Task.detect), said


def problem(folder: Path, text: str | bytes) -> Problem:
    with pytest.raises(ConfigError) as raised:
        run_check(folder, text)
    (found,) = raised.value.problems
    assert found.key == "data.train"
    return found


@pytest.mark.parametrize(
    "text",
    [
        "./images/train/0.png\n./images/train/1.png\n",
        "\ufeff\n  ./images/train/1.png\n\n./images/train/0.png  \n\n",
        "./images/train/0.png\r\n./images/train/1.png\r\n",
        "./images/train/0.png \n./images/train/1.png\nnotes\n",
        "images/train/0.png\n./a/./b.PNG\n.\\images\\0.png\n/abs/x.jpg\n ./x.jpg\n",
        "./images/./train/0.png\n../images/train/1.png\n",
    ],
)
def test_lines_are_read_as_ultralytics_reads_them(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ultralytics.data.base.check_file_speeds", lambda *_, **__: None)
    file = folder / "train.txt"
    file.write_text(text, encoding="utf-8", newline="")
    dataset = SimpleNamespace(fraction=1.0, prefix="")
    assert check_images.list_images([file]) == BaseDataset.get_img_files(dataset, str(file))


@pytest.mark.parametrize(
    "lines",
    [
        ["images/train/0.png", "images/train/1.png"],  # beside the list, without ./
        ["data/obj/images/train/0.png", "data/obj/images/train/1.png"],  # a folder of the tool in front
        ["/content/my set/images/train/0.png", "/content/my set/images/train/1.png"],  # another machine's
        ["./export/images/train/0.png", "./export/images/train/1.png"],
        ["C:\\Users\\me\\set\\images\\train\\0.png", "C:\\Users\\me\\set\\images\\train\\1.png"],
        ["..\\images\\train\\0.png", "..\\images\\train\\1.png"],
        ["D:\\\\set\\\\images\\\\train\\\\0.png", "D:\\\\set\\\\images\\\\train\\\\1.png"],  # each backslash twice
        ["[a.b]/images/train/0.png", "[a.b]/images/train/1.png"],
        ["file:///data//set/images/train/0.png", "file:///data//set/images/train/1.png"],
    ],
)
def test_lines_that_lead_nowhere_come_with_the_command_that_mends_them(lines: list[str], folder: Path) -> None:
    found = problem(folder, "\n".join(lines) + "\n")
    assert f"{folder}/train.txt:1: " in found.found
    assert "none of its 2 images is there" in found.found
    assert ("Windows" in found.found) == ("\\" in lines[0])
    assert found.instead.startswith("write ./images/train/0.png, and so on: sed -i ")
    subprocess.run(["bash", "-c", found.instead.partition("and so on: ")[2]], check=True)
    assert (folder / "train.txt").read_text() == "./images/train/0.png\n./images/train/1.png\n"


def test_images_of_another_folder_get_its_path(folder: Path) -> None:
    dataset_in(Path.cwd() / "elsewhere & more")
    (folder / "images" / "train" / "0.png").unlink()
    (folder / "images" / "train" / "1.png").unlink()
    found = problem(folder, "D:\\elsewhere & more\\images\\train\\0.png\n")
    subprocess.run(["bash", "-c", found.instead.partition("and so on: ")[2]], check=True)
    assert (folder / "train.txt").read_text() == f"{Path.cwd()}/elsewhere & more/images/train/0.png\n"


def test_images_that_are_nowhere(folder: Path) -> None:
    assert "paths of this machine" in problem(folder, "/data/a/b.jpg\n").instead
    assert "(a line without ./ is below the working folder" in problem(folder, "a/b.jpg\n").found


@pytest.mark.parametrize(("name", "prefix"), [("train.txt", "./"), ("lists/train.txt", "{folder}/")])
def test_labels_are_missed_where_a_path_begins_with_images(
    name: str, prefix: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "lists").mkdir()
    (folder / "data.yaml").write_text(f"train: {name}\nval: images/val\nnames: [a]\n")
    (folder / name).write_text("images/train/0.png\nimages/train/1.png\n")
    with pytest.raises(ConfigError) as raised:
        check.check(folder / "data.yaml", Task.detect)
    (found,) = raised.value.problems
    assert f"{name}:1: images/train/0.png begins with images/" in found.found
    subprocess.run(["bash", "-c", found.instead.partition("and so on: ")[2]], check=True)
    start = prefix.format(folder=folder)
    assert (folder / name).read_text() == f"{start}images/train/0.png\n{start}images/train/1.png\n"
    assert check.check(folder / "data.yaml", Task.detect).splits["train"].labelled == 2


@pytest.mark.parametrize(
    ("text", "found", "instead"),
    [
        ("./labels/train/0.txt\n", ":1: ./labels/train/0.txt is no path of an image", "not their labels"),
        ("./images/train/0.png 5,5,9,9,0\n", "is no path of an image", "path alone; labels"),
        ("'./images/train/0.png'\n", "is no path of an image", "no quotes"),
        ('"./images/train/0.png",\n', "is no path of an image", "no quotes"),
        ("000001\n000002\n", ":1: 000001 is no path of an image", "with its suffix"),
        ("\n \n", "is empty", "one path of an image a line"),
        ("./images/train/0.png\n".encode("utf-16"), ":1: is UTF-16", "iconv"),
        (b"./images/train/0.png\n./images/train/\xe4.png\n", ":2: is not UTF-8 (byte 0xe4)", "UTF-8"),
        (b"PK\x03\x04\xff\xfe", "zip archive", "unpack"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer", "git lfs pull"),
    ],
)
def test_files_that_list_no_images(text: str | bytes, found: str, instead: str, folder: Path) -> None:
    told = problem(folder, text)
    assert found in told.found
    assert instead in told.instead


def test_an_image_is_no_list(folder: Path) -> None:
    (folder / "data.yaml").write_text("train: images/train/0.png\nval: images/val\nnames: [a]\n")
    assert "is an image, not a list" in problem(folder, "").found


def test_lines_that_are_left_out_are_told(folder: Path) -> None:
    good = "./images/train/0.png\n"
    report, said = run_check(folder, f"{good}./images/train/1.png \n# end\n{good}")
    assert report.splits["train"].images == 2
    assert said == [
        f"{folder}/train.txt:2: './images/train/1.png ' has blanks behind the path; 2 lines are left out of 4"
    ]
    assert run_check(folder, good)[1] == []


def test_images_that_are_not_there_are_told_with_their_line(folder: Path) -> None:
    (folder / "images" / "train" / "empty.png").touch()
    names = ("0", "gone", "1", "empty")
    report, _ = run_check(folder, "".join(f"./images/train/{name}.png\n" for name in names))
    empty, gone = report.splits["train"].skipped
    assert gone == (
        f"{folder}/images/train/gone.png: cannot be read: No such file or directory (listed in {folder}/train.txt:2)"
    )
    assert empty.endswith(f"(listed in {folder}/train.txt:4)")


def test_the_command_for_utf_16_keeps_a_list_that_lies_in_the_working_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "data.yaml").write_text("train: list.txt\nval: images/val\nnames: [a]\n")
    (folder / "list.txt").write_bytes("./images/train/0.png\n".encode("utf-16"))
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError) as raised:
        check.check(Path("data.yaml"), Task.detect)
    subprocess.run(["bash", "-c", raised.value.problems[0].instead], check=True)
    assert check.check(Path("data.yaml"), Task.detect).splits["train"].images == 1
