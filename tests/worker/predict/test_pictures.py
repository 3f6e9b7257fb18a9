"""The suffix of an address is that of its path, whoever decodes what is behind it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from yoloscale.manifest import remote
from yoloscale.manifest.content import Reader
from yoloscale.manifest.table import Item
from yoloscale.worker.predict.pictures import picture_of
from yoloscale.worker.predict.views.images import read_image


@pytest.mark.parametrize("address", ["https://host/a.tif?token=b.png", "https://host/a.tif#x.jpg"])
def test_what_is_behind_an_address_is_told_by_its_path(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yoloscale.yolo.inference.pictures as decoding

    success, content = cv2.imencode(".tif", np.full((4, 5, 3), 10, np.uint8))
    assert success
    monkeypatch.setattr(remote, "read", lambda *_: content.tobytes())
    first_page, asked = decoding._first_page, []
    monkeypatch.setattr(decoding, "_first_page", lambda *more, **keys: asked.append(1) or first_page(*more, **keys))
    item = Item(0, address)
    with Reader(tmp_path) as reader:
        picture = picture_of(item, reader)
        assert asked == [1]  # as of a TIFF
        shown = read_image(reader, item, {"height": 4, "width": 5})
        assert asked == [1, 1]
    assert np.array_equal(picture, shown)
