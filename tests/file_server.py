"""A server of files on this machine."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The address that a folder is served at, and the paths of the files that were sent."""
    sent = list[str]()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep quiet."""

        def send_head(self) -> Any:
            path = Path(self.translate_path(self.path))
            self.etag = f'"{path.stat().st_mtime_ns}"' if path.is_file() else None
            if self.etag and self.headers["If-None-Match"] == self.etag:
                self.send_response(304)
                self.end_headers()
                return None
            sent.extend([self.path] if self.etag else [])
            return super().send_head()

        def end_headers(self) -> None:
            if self.etag:
                self.send_header("ETag", self.etag)
            super().end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", sent
        finally:
            server.shutdown()
            thread.join()
