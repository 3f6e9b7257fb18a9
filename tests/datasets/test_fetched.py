"""What lies behind an address: fetched once, again when it has changed, and told of without its secrets."""

from __future__ import annotations

import base64
import http.server
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from yoloscale.config.addresses import hide
from yoloscale.config.schema import DataConfig, Task
from yoloscale.datasets import download as download_module
from yoloscale.datasets import fetched, sources
from yoloscale.datasets.download import DownloadError, Version, ask, download
from yoloscale.errors import ConfigError


def put(folder: Path, names: str, time_s: int) -> Path:
    """A dataset YAML that a server has; its images are elsewhere on this machine."""
    for split in ("train", "val"):
        (folder.parent / "data" / split).mkdir(parents=True, exist_ok=True)
    file = folder / "d.yaml"
    file.write_text(f"path: {folder.parent}/data\ntrain: train\nval: val\nnames: [{names}]\n")
    os.utime(file, (time_s, time_s))
    return file


def prepare(source: str, cache: Path, opened: str | None = None) -> tuple[Path, list[str]]:
    said = list[str]()
    return sources.prepare(DataConfig(source=source), Task.detect, cache, said.append, opened=opened), said


def test_a_file_that_has_changed_is_another_one_for_new_runs_alone(
    served: tuple[Path, str, list[str]], tmp_path: Path
) -> None:
    (folder, host, sent), cache = served, tmp_path / "cache"
    address = f"{host}/d.yaml"
    put(folder, "a", 1_000_000)
    first, _ = prepare(address, cache)
    opened = sources.opened_as(DataConfig(source=address), cache, first)
    assert prepare(address, cache) == (first, [])
    assert sent == ["/d.yaml"]
    put(folder, "a, b", 2_000_000)
    second, (line, *_) = prepare(address, cache)
    assert "d.yaml has changed since it was fetched" in line
    assert ("[a, b]" in second.read_text(), "[a]" in first.read_text()) == (True, True)
    assert prepare(address, cache) == (second, [])
    assert prepare(address, cache, opened) == (first, [])
    config = DataConfig(source=address)
    assert sources.locate(config, Task.detect, cache) == second
    assert sources.locate(config, Task.detect, cache, opened=opened) == first
    put(folder, "a", 1_000_000)
    assert prepare(address, cache) == (first, []), "what is there already is taken"
    assert sources.locate(config, Task.detect, cache) == first


def test_a_cache_that_takes_no_note_is_read_all_the_same(
    served: tuple[Path, str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder, host, _), cache = served, tmp_path / "cache"
    put(folder, "a", 1_000_000)
    first, _ = prepare(f"{host}/d.yaml", cache)
    put(folder, "a, b", 2_000_000)
    prepare(f"{host}/d.yaml", cache)
    put(folder, "a", 1_000_000)

    def refuse(*_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(fetched, "record", refuse)
    assert prepare(f"{host}/d.yaml", cache) == (first, [])


def test_what_was_fetched_is_noted_whole(tmp_path: Path) -> None:
    fetched.record(tmp_path, Version("a"))
    with (tmp_path / ".fetched.json").open() as reader:
        fetched.record(tmp_path, Version("b"))
        assert '"a"' in reader.read(), "who has begun to read it reads it to its end"


def test_what_cannot_be_compared_is_told_with_its_date(served: tuple[Path, str, list[str]], tmp_path: Path) -> None:
    (folder, host, _), cache = served, tmp_path / "cache"
    address = f"{host}/d.yaml?token=secret"
    put(folder, "a", 1_000_000)
    first, _ = prepare(address, cache)
    (folder / "d.yaml").unlink()
    same, (line,) = prepare(address, cache)
    assert same == first
    assert f"was fetched on {fetched.date(first.parent)}" in line
    assert "the server answers 404" in line
    assert f"rm -r {first.parent}" in line
    (first.parent / ".fetched.json").unlink()  # as earlier versions left it
    put(folder, "a", 1_000_000)
    _, (line,) = prepare(address, cache)
    assert "its server does not tell" in line
    assert "secret" not in line
    (dry,) = sources.outlook(DataConfig(source=address), Task.detect, cache)
    assert "was fetched before (" in dry


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Version("a", "1", "5"), Version("a", "2", "5"), True),
        (Version("a", "1", "5"), Version("b", "1", "5"), True),  # two servers of one address
        (Version("a", "1", "5"), Version("b", "2", "5"), False),
        (Version("a"), Version("b"), False),
        (Version(None, "1", "5"), Version(None, "1", "6"), False),
        (Version(None, None, "5"), Version(None, None, "6"), False),
        (Version(None, None, "5"), Version(None, None, "5"), None),
        (Version("a"), Version(None, "1"), None),
        (Version(), Version("a", "1", "5"), None),
    ],
)
def test_versions(one: Version, other: Version, same: bool | None) -> None:
    assert one.is_same(other) is same
    assert other.is_same(one) is same


@pytest.fixture
def closed() -> Iterator[tuple[str, list[Mapping[str, str]]]]:
    """A server that opens for me:pa@ss and a token alone, and the headers of what it was asked."""
    asked = list[Mapping[str, str]]()
    expected = f"Basic {base64.b64encode(b'me:pa@ss').decode()}"

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep quiet."""

        def do_GET(self) -> None:
            asked.append(self.headers)
            is_open = self.headers["Authorization"] == expected or self.path.endswith("?token=right")
            moved = self.path == "/moved"
            self.send_response(302 if moved else 200 if is_open else 403)
            if moved:
                self.send_header("Location", f"http://localhost:{self.server.server_port}/there?token=right")  # type: ignore[attr-defined]
            self.send_header("Content-Length", "0")
            self.end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_what_opens_an_address_is_sent_and_told_nobody(
    closed: tuple[str, list[Mapping[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (host, asked), target = closed, tmp_path / "a"
    monkeypatch.setenv("HOME", str(tmp_path))
    for address in (f"http://me:pa%40ss@{host}/a", f"http://{host}/a?token=right"):
        download(address, target)
        download(hide(address), target)
    for address in (f"http://me:secret@{host}/b", f"http://{host}/b?token=secret"):
        with pytest.raises(DownloadError) as raised:
            download(address, target)
        assert str(raised.value) == f"http://{host}/b: the server answers 403 Forbidden"
        assert raised.value.is_closed
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password pa@ss\n")
    (tmp_path / ".netrc").chmod(0o600)
    download(f"http://{host}/c", target)
    assert ask(f"http://{host}/c", Version()).length == "0"
    download(f"http://{host}/moved", target)
    assert asked[-1]["Authorization"] is None, "another host does not get it"


def test_netrc_speaks_for_the_hosts_that_it_names_and_for_no_signed_address(
    closed: tuple[str, list[Mapping[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, asked = closed
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / ".netrc"
    file.write_text("machine 127.0.0.1 login me password pa@ss\n")
    file.chmod(0o600)
    ask(f"http://{host}/a?token=right", Version())
    assert asked[-1]["Authorization"] is None
    file.write_text("machine elsewhere login me password pa@ss\ndefault login me password pa@ss\n")
    with pytest.raises(DownloadError, match="403"):
        ask(f"http://{host}/a", Version())
    assert asked[-1]["Authorization"] is None


def test_a_long_download_is_told_of(
    served: tuple[Path, str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, host, _ = served
    (folder / "big").write_bytes(bytes(5 << 20))
    monkeypatch.setattr(download_module, "_SAY_EVERY_S", -1.0)
    said = list[str]()
    download(f"{host}/big?token=secret", tmp_path / "big", said.append)
    assert said[-1] == f"5 MiB of 5 MiB of {host}/big"
    assert (tmp_path / "big").stat().st_size == 5 << 20


def test_words_of_libraries_are_masked(tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as raised:
        download("http://127.0.0.1:1/a b?token=secret", tmp_path / "a")
    assert "secret" not in str(raised.value)
    assert "control characters" in str(raised.value)


def test_an_address_that_is_closed_says_how_it_is_opened(
    closed: tuple[str, list[Mapping[str, str]]], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as raised:
        prepare(f"http://{closed[0]}/d.zip?token=secret", tmp_path)
    (problem,) = raised.value.problems
    assert "403" in problem.found
    assert "~/.netrc" in problem.instead
    assert "secret" not in str(problem)


def test_an_address_that_cannot_be_taken_apart_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="write / as %2F"):
        prepare(hide("https://me:se/cret@host/d.zip"), tmp_path)
