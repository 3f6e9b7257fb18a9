"""Files from addresses, from a server that does not send all of them."""

from __future__ import annotations

import http.server
import os
import threading
from pathlib import Path

import pytest

from yoloscale.datasets.download import download


def test_a_server_that_sends_too_little_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [b"123", b"12345"]

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep quiet."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(answers.pop(0))

    monkeypatch.setattr("yoloscale.datasets.download.time.sleep", lambda seconds: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        download(f"http://127.0.0.1:{server.server_port}/a", tmp_path / "a")
        server.shutdown()
        thread.join()
    assert (tmp_path / "a").read_bytes() == b"12345"
    assert os.listdir(tmp_path) == ["a"]  # noqa: PTH208
