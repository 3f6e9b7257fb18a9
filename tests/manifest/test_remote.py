"""Addresses: http from a server on this machine, s3 and gs from a file system in memory, servers that fail."""

from __future__ import annotations

import contextlib
import errno
import http.server
import pickle
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.file_server import serving
from tests.manifest.manifests import manifest_of, sources_of, touch, write_video

from yoloscale.errors import ConfigError
from yoloscale.manifest import remote
from yoloscale.manifest.content import Content, Reader, contents
from yoloscale.manifest.pace import Abandoned

fsspec = pytest.importorskip("fsspec", reason="needs the extra remote")
MemoryFileSystem = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem


def needs_http() -> None:
    pytest.importorskip("aiohttp", reason="needs the extra remote")


class Bucket(MemoryFileSystem):  # type: ignore[misc, valid-type]
    """Objects of `s3://` and `gs://` that this process alone sees."""

    protocol = ("s3", "gs")
    store: dict[str, Any] = {}  # noqa: RUF012  # as fsspec has it: one for all instances
    pseudo_dirs = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.partition("://")[2].strip("/") if "://" in path else "/" + path.strip("/")

    def unstrip_protocol(self, name: str) -> str:
        return f"s3://{name.lstrip('/')}"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(Bucket, "store", {})
    monkeypatch.setattr(Bucket, "pseudo_dirs", [""])
    for scheme in Bucket.protocol:
        fsspec.register_implementation(scheme, Bucket, clobber=True)
    return Bucket()


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_WAITS_S", (0.0, 0.0))
    monkeypatch.setattr(remote, "_WAITS_OF_LISTINGS_S", (0.0,))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "working"
    folder.mkdir()
    return folder


@contextlib.contextmanager
def answering(statuses: list[int]) -> Iterator[tuple[str, list[str]]]:
    """The address of a server that answers with one status after the other, 200 from then on; what it was asked."""
    asked = list[str]()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep quiet."""

        def do_GET(self) -> None:
            asked.append(self.path)
            status = statuses.pop(0) if statuses else 200
            self.send_response(status)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"body")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def outcomes(items: list[Any], base: Path) -> list[Any]:
    return [content.data if isinstance(content, Content) else content.reason for _, content in contents(items, base)]


def test_a_bucket_is_listed_recursively_in_order_and_read(base: Path, bucket: Any) -> None:
    names = ["b.jpg", "a/x.png", "a-b/x.png", "a/deep/y.webp", "a.jpg"]
    for name in [*names, "notes.txt", ".hidden.jpg", "a/.cache/z.jpg"]:
        bucket.pipe_file(f"s3://images/set/{name}", name.encode())
    items = manifest_of(base, "s3://images/set")
    assert sources_of(items) == [f"s3://images/set/{name}" for name in sorted(names)]
    assert outcomes(items, base) == [name.encode() for name in sorted(names)]
    assert sources_of(manifest_of(base, "s3://images/set/a/", "s3://images/set/b.jpg")) == [
        "s3://images/set/a/deep/y.webp",
        "s3://images/set/a/x.png",
        "s3://images/set/b.jpg",
    ]
    bucket.rm_file("s3://images/set/b.jpg")
    assert outcomes(items, base)[-1] == "there is no such file at this address"


def test_a_bucket_that_holds_nothing_is_a_problem(base: Path, bucket: Any) -> None:
    bucket.pipe_file("s3://images/notes.txt", b"text")
    with pytest.raises(ConfigError) as raised:
        manifest_of(base, "s3://images", "gs://nowhere/at/all", "s3://images/list.txt", "ftp://host/a.jpg")
    assert [problem.found for problem in raised.value.problems] == [
        "s3://images/list.txt is a list or an archive behind an address",
        "ftp://host/a.jpg: ftp:// is not read",
    ]
    with pytest.raises(ConfigError) as raised:
        manifest_of(base, "s3://images", "gs://nowhere/at/all")
    assert [problem.found for problem in raised.value.problems] == [
        "s3://images has no image and no video",
        "gs://nowhere/at/all: there is no such file at this address",
    ]


def test_a_video_in_a_bucket_is_copied_for_as_long_as_it_is_read(base: Path, bucket: Any) -> None:
    write_video(base / "v.avi", 7)
    bucket.pipe_file("s3://videos/v.avi", (base / "v.avi").read_bytes())
    items = manifest_of(base, "s3://videos")
    assert [(item.source, item.frame) for item in items] == [("s3://videos/v.avi", number) for number in range(7)]
    local = outcomes(manifest_of(base, "v.avi"), base)
    with Reader(base) as reader:
        read = [reader.read(item).data for item in items]
        copy = reader._copy
    assert all(np.array_equal(one, other) for one, other in zip(read, local, strict=True))
    assert copy is not None
    assert not Path(copy.name).exists()


def test_what_is_not_installed_is_told_before_anything_is_listed(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    (base / "l.txt").write_text("https://host.invalid/a.jpg\n")
    for source in ("https://host.invalid/a.jpg", "l.txt"):
        with pytest.raises(ConfigError, match="needs a package that is not installed") as raised:
            manifest_of(base, source)
        assert raised.value.problems[0].instead == "pip install 'yoloscale[remote]'"


def test_files_and_folders_of_a_web_server(base: Path, tmp_path: Path) -> None:
    needs_http()
    touch(tmp_path / "served", "a b.jpg", "deep/c.png", "notes.txt")
    with serving(tmp_path / "served") as (address, _):
        (base / "l.csv").write_text(f"source\n{address}/deep/c.png\n{address}/missing.jpg\nftp://x/y.jpg\n")
        items = manifest_of(base, f"{address}/", "l.csv", f"{address}/deep/c.png?size=large")
        assert sources_of(items) == [
            *(f"{address}/a%20b.jpg", f"{address}/deep/c.png"),
            *(f"{address}/deep/c.png", f"{address}/missing.jpg", "ftp://x/y.jpg", f"{address}/deep/c.png?size=large"),
        ]
        missing = ["there is no such file at this address", "there is no such file"]
        expected = [b"a b.jpg", b"deep/c.png", b"deep/c.png", *missing, b"deep/c.png"]
        assert outcomes(items, base) == expected


class StatusError(Exception):
    """As aiohttp's ClientResponseError and gcsfs's HttpError."""

    def __init__(self, **numbers: int) -> None:
        vars(self).update(numbers)


class HostError(OSError):
    """As aiohttp's ClientConnectorDNSError."""

    def __init__(self, number: int) -> None:
        self.os_error = socket.gaierror(number, "of the name service")


def fail(bucket: Any, monkeypatch: pytest.MonkeyPatch, errors: list[Exception]) -> list[str]:
    """Let each read of the bucket raise the next error, until there is none left; the addresses that are asked for."""
    asked = list[str]()
    cat_file = type(bucket).cat_file

    def read(self: Any, path: str, *arguments: Any, **more: Any) -> bytes:
        asked.append(path)
        if errors:
            raise errors.pop(0)
        return bytes(cat_file(self, path, *arguments, **more))

    monkeypatch.setattr(type(bucket), "cat_file", read)
    return asked


IMAGE = "s3://images/a.jpg"


@pytest.mark.parametrize(
    ("errors", "outcome", "times"),
    [
        ([StatusError(status=503), TimeoutError()], b"a", 3),
        ([StatusError(status=500), StatusError(code=502), StatusError(status=500)], "the server answers with 500", 3),
        ([StatusError(status=403)], "the server answers with 403", 1),
        ([OSError("Forbidden: images/a.jpg")], "the server does not allow to read it", 1),
        ([FileNotFoundError("images/a.jpg")], "there is no such file at this address", 1),
        ([HostError(socket.EAI_NONAME)], "there is no host of this name", 1),
    ],
)
def test_what_may_pass_is_asked_again_and_nothing_else(
    base: Path,
    bucket: Any,
    monkeypatch: pytest.MonkeyPatch,
    errors: list[Exception],
    outcome: bytes | str,
    times: int,
) -> None:
    bucket.pipe_file(IMAGE, b"a")
    asked = fail(bucket, monkeypatch, [*errors])
    assert outcomes(manifest_of(base, IMAGE), base) == [outcome]
    assert asked == [IMAGE] * times


@pytest.mark.parametrize(
    "error",
    [
        *(StatusError(status=503), StatusError(status=429), StatusError(code=504), TimeoutError()),
        *(HostError(socket.EAI_AGAIN), ConnectionResetError(), OSError(errno.EBUSY, "SlowDown")),
    ],
)
def test_an_outage_is_no_row(base: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    bucket.pipe_file(IMAGE, b"a")
    items = manifest_of(base, IMAGE)
    asked = fail(bucket, monkeypatch, [error] * 3)
    with pytest.raises(remote.OutageError, match=r"^images: the server ") as raised:
        outcomes(items, base)
    assert len(asked) == 3
    assert isinstance(pickle.loads(pickle.dumps(raised.value)), OSError)  # it comes out of another process
    assert outcomes(items, base) == [b"a"]


def test_what_is_not_installed_on_a_ranks_machine_is_no_row(
    base: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.pipe_file(IMAGE, b"a")
    items = manifest_of(base, IMAGE)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(remote.OutageError, match="what reads it is not installed on this machine"):
        outcomes(items, base)


def test_a_video_that_cannot_be_copied_now_is_no_row_of_the_manifest(
    base: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_file(*_: Any, **__: Any) -> None:
        raise TimeoutError

    bucket.pipe_file("s3://videos/v.avi", b"video")
    monkeypatch.setattr(Bucket, "get_file", get_file)
    with pytest.raises(ConfigError, match=r"videos: the server does not answer \(TimeoutError\)"):
        manifest_of(base, "s3://videos/v.avi")


def test_whoever_waits_for_a_server_may_let_go(base: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_WAITS_S", (600.0,))
    bucket.pipe_file(IMAGE, b"a")
    items = manifest_of(base, IMAGE)
    is_asked = threading.Event()

    def read(*_: Any, **__: Any) -> bytes:
        is_asked.set()
        raise TimeoutError

    monkeypatch.setattr(Bucket, "cat_file", read)
    with Reader(base) as reader, ThreadPoolExecutor(1) as executor:
        reading = executor.submit(reader.read, items[0])
        assert is_asked.wait(60)
        reader.abandon()
        with pytest.raises(Abandoned):
            reading.result(60)


def test_a_copy_moves_the_progress_of_the_reader(base: Path, bucket: Any) -> None:
    write_video(base / "v.avi", 2)
    bucket.pipe_file("s3://videos/v.avi", (base / "v.avi").read_bytes())
    items = manifest_of(base, "s3://videos")
    with Reader(base) as reader:
        reader.read(items[0])
        assert reader.progress > 1  # of one frame, and of a copy
        reader.abandon()
        with pytest.raises(Abandoned), remote.copied("s3://videos/v.avi", reader._pace):
            pass


@pytest.mark.parametrize(
    ("statuses", "outcome", "times"),
    [
        ([503, 429], b"body", 3),
        ([500, 502, 500, 200], "the server answers with 500", 3),
        ([403], "the server answers with 403", 1),
        ([404], "there is no such file at this address", 1),
    ],
)
def test_answers_of_a_web_server(base: Path, statuses: list[int], outcome: bytes | str, times: int) -> None:
    needs_http()
    with answering(statuses) as (address, asked):
        items = manifest_of(base, f"{address}/image?id=7")
        assert outcomes(items, base) == [outcome]
    assert asked == ["/image?id=7"] * times


def test_a_web_server_that_is_not_there_now_is_no_row(base: Path) -> None:
    needs_http()
    with answering([503] * 3) as (address, _):
        items = manifest_of(base, f"{address}/a.jpg")
        with pytest.raises(remote.OutageError, match="the server answers with 503"):
            outcomes(items, base)
    with pytest.raises(remote.OutageError, match=r"the server does not answer \(ClientConnectorError\)"):
        outcomes(items, base)
