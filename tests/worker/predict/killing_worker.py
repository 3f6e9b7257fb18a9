"""A rank that dies of an image whose name says so, hangs or raises, as by a bug in a decoder, whoever reads it."""

from __future__ import annotations

import os
import signal
import sys

from yoloscale.manifest.content import Content, Reader
from yoloscale.manifest.table import Item

_read = Reader.read


def read(reader: Reader, item: Item) -> Content:
    if "killer" in item.source:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "sleeper" in item.source:
        signal.sigwait([])
    if "thrower" in item.source:
        raise ValueError("an image that no model takes")
    return _read(reader, item)


Reader.read = read  # type: ignore[method-assign]  # in the processes that this one starts, too: they run this file

if __name__ == "__main__":
    from yoloscale.worker.__main__ import main

    os._exit(main(sys.argv))
