"""From an item of the manifest to its picture: the same for rows, for views and for scripts."""

from __future__ import annotations

from yoloscale.manifest.content import Reader
from yoloscale.manifest.remote import is_remote, name_of
from yoloscale.manifest.table import Item
from yoloscale.yolo.inference.pictures import Picture, decode


def picture_of(item: Item, reader: Reader, channels: int = 3) -> Picture:
    """Read and decode (yolo/inference/pictures.py) what an item holds: height × width × channels.

    Raises the `Unreadable` of manifest/ and of yolo/inference/; OSError and MemoryError for what is wrong with anything
    else than the source; Abandoned.
    """
    name = name_of(item.source) if is_remote(item.source) else item.source
    return decode(reader.read(item).data, name, channels)
