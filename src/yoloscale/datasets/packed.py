"""Datasets that have to be unpacked, converted or fetched first: archives, NDJSON, addresses.

Once, into the cache, whole or not at all; a source that has changed is taken anew. `locate` finds what `prepare` made.
"""

from __future__ import annotations

import enum
import hashlib
import lzma
import re
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path

from yoloscale.config.addresses import UNREADABLE, is_address, without_secrets
from yoloscale.config.node_paths import variables_in
from yoloscale.config.schema import LabelKind, Task
from yoloscale.datasets import fetched, ndjson
from yoloscale.datasets.download import DownloadError, Version, download
from yoloscale.datasets.file_kinds import COPY_AGAIN, other_file, read_head
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.files import sha256_of
from yoloscale.system.locks import build_once
from yoloscale.system.remarks import Say

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".gz", ".xz", ".bz2")
_OTHER_ARCHIVES = (".7z", ".rar", ".zst")
_OPENING = (
    "write the address with what opens it, also for a run that goes on, as it is kept nowhere (data='https://…?…', or "
    "https://USER:PASSWORD@…); or put user and password for the host into ~/.netrc, readable by you alone"
)
_YAML = (".yaml", ".yml")


class Kind(enum.Enum):
    """What a source is, by its name."""

    archive = "unpacked"
    ndjson = "converted"
    yaml = "fetched"  # from an address


def kind_of(source: str) -> Kind | None:
    """What has to be done with a source first; None: nothing. Raises ConfigError for what cannot be opened here."""
    if source.endswith(UNREADABLE):
        instead = "write / as %2F, @ as %40, # as %23 and ? as %3F in its user and its password"
        raise ConfigError(Problem("data", f"{source} begins an address that cannot be read", instead))
    if source.startswith("ul://") or "platform.ultralytics.com/" in source:
        instead = "export it there as NDJSON, and write data=path/to/file.ndjson"
        raise ConfigError(Problem("data", f"{source!r} is a dataset of Ultralytics' platform", instead))
    if "://" in source and not is_address(source):
        instead = "copy it to a folder, and write the path of its dataset YAML"
        raise ConfigError(Problem("data", f"{source!r} is an address that cannot be opened here", instead))
    if not is_address(source) and Path(source).expanduser().is_dir():
        return None
    name = _named(source).lower()
    if name.endswith(".ndjson"):
        return Kind.ndjson
    if name.endswith(_ARCHIVES):
        return Kind.archive
    if name.endswith(_OTHER_ARCHIVES):
        raise ConfigError(Problem("data", f"{source!r} is an archive that is not opened here", "unpack it yourself"))
    if not is_address(source):
        return None
    if name.endswith(_YAML):
        return Kind.yaml
    endings = ", ".join((*_ARCHIVES[:4], ".ndjson", ".yaml"))
    instead = f"write one that ends in {endings}, or fetch it and write its path"
    raise ConfigError(Problem("data", f"{without_secrets(source)!r} does not say what it is", instead))


def locate(source: str, task: Task, cache: Path) -> str:
    """The dataset YAML, or folder, that `source` was made into; `source` itself if there is nothing to make.

    Raises ConfigError if it was not made yet.
    """
    kind = kind_of(source)
    if kind is None:
        return source
    target = _target(source, cache)
    if not target.is_dir():
        instead = "start the run with `yoloscale train`, or open it first with `yoloscale data prepare`"
        raise ConfigError(Problem("data", f"{_named(source)} is not {kind.value} yet, or has changed", instead))
    return str(_inside(target, kind, task))


def prepare(source: str, task: Task, cache: Path, say: Say) -> str:
    """Make what `locate` returns, unless it is there."""
    kind = kind_of(source)
    if kind is None:
        return source
    target = fetched.choose(_base(source, cache), source, say) if is_address(source) else _target(source, cache)
    if not target.is_dir():
        if not is_address(source) and not _local(source).is_file():
            raise ConfigError(Problem("data", f"there is no {source}", "correct the path"))
        say(f"{_named(source)} is {kind.value}, once, into {target}")
        build_once(target, lambda partial: _build(source, kind, partial, say))
    return str(_inside(target, kind, task))


def outlook(source: str, cache: Path) -> str:
    """What `prepare` would do, for a dry run; empty if nothing."""
    kind = kind_of(source)
    if kind is None:
        return ""
    target = _target(source, cache)
    if not target.is_dir():
        return f"{_named(source)} would be {kind.value} into {target}"
    if not is_address(source):
        return f"{_named(source)} was {kind.value} before: {target}"
    when = f"before ({fetched.date(target)})"
    return f"{_named(source)} was {kind.value} {when}: {target}; a start asks whether it has changed"


def remark_on_change(source: str, cache: Path, opened: Path) -> str | None:
    """That a file is not the one any more that was opened into `opened`, as far as its size and time tell."""
    if variables_in(source) or is_address(source) or not Path(source).is_file() or kind_of(source) is None:
        return None
    if _target(source, cache) in opened.parents:
        return None
    return f"{source} has another size or time than at the start of the run, which goes on with {opened}"


def _named(source: str) -> str:
    return without_secrets(source) if is_address(source) else source


def _local(source: str) -> Path:
    return Path(source).expanduser().absolute()


def _target(source: str, cache: Path) -> Path:
    """A folder for each source; for a file also for its size and time, the newest one if the file is gone."""
    if is_address(source):
        return fetched.newest(_base(source, cache))
    path = _local(source)
    name = f"{_stem(path.name)}-{_digest(str(path))}"
    try:
        status = path.stat()
    except FileNotFoundError:
        folders = sorted((cache / "opened").glob(f"{name}-*"), key=lambda folder: folder.stat().st_mtime)
        return folders[-1] if folders else cache / "opened" / name
    return cache / "opened" / f"{name}-{_digest(f'{status.st_size} {status.st_mtime_ns}')}"


def _base(address: str, cache: Path) -> Path:
    """The folder of what was fetched first from an address; others have its name and more."""
    clean = without_secrets(address)
    return cache / "opened" / f"{_stem(Path(clean).name)}-{_digest(clean)}"


def _stem(name: str) -> str:
    for suffix in sorted((*_ARCHIVES, ".ndjson", *_YAML), key=len, reverse=True):
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return re.sub(r"[^\w.-]", "_", name).strip(".") or "data"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _build(source: str, kind: Kind, partial: Path, say: Say) -> None:
    file, version = _local(source), Version()
    if is_address(source):
        file = partial / Path(without_secrets(source)).name
        try:
            version = download(source, file, say)
        except DownloadError as error:
            instead = _OPENING if error.is_closed else "fetch it yourself, and write its path"
            raise ConfigError(Problem("data", str(error), instead)) from error
    if other := other_file(file, read_head(file)):
        raise ConfigError(Problem("data", f"{_named(source)} {other.what}", other.cure))
    if kind is Kind.ndjson:
        _convert(file, partial, say)
    elif kind is Kind.archive:
        _unpack(file, _named(source), partial)
    if is_address(source):
        fetched.record(partial, version)
        if kind is not Kind.yaml:
            file.unlink()


def _convert(file: Path, partial: Path, say: Say) -> None:
    """Images wait in a folder of their own, so that another attempt need not fetch them all."""
    dataset = ndjson.read(file)
    if dataset.remark:
        say(dataset.remark)
    content = sha256_of(file)[:8]  # images are numbered, in each export otherwise
    waiting = partial.with_name(f"{partial.name.rsplit('.', 2)[0]}.{content}.images")  # hidden, as partial is
    waiting.mkdir(exist_ok=True)
    ndjson.write(dataset, waiting, say)
    for entry in waiting.iterdir():
        entry.rename(partial / entry.name)
    waiting.rmdir()


def _unpack(packed: Path, named: str, partial: Path) -> None:
    """Unpack an archive; dataset YAMLs in it lose their `path:`."""
    try:
        if zipfile.is_zipfile(packed):
            with zipfile.ZipFile(packed) as archive:
                _refuse_too_large(sum(member.file_size for member in archive.infolist()), named, partial)
                archive.extractall(partial)
        elif tarfile.is_tarfile(packed):
            with tarfile.open(packed) as archive_of_tar:
                _refuse_too_large(sum(member.size for member in archive_of_tar), named, partial)
                archive_of_tar.extractall(partial, filter="data")
                assert archive_of_tar.fileobj is not None
                while archive_of_tar.fileobj.read(2**20):  # to the end: there is the checksum of what is compressed
                    pass
        else:
            raise ConfigError(Problem("data", f"{named} is cut short, or neither zip nor tar", COPY_AGAIN))
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, NotImplementedError) as error:
        raise ConfigError(Problem("data", f"{named} cannot be unpacked: {error}", "unpack it yourself")) from error
    except (OSError, lzma.LZMAError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the file system: no room, for one
        raise ConfigError(Problem("data", f"{named} is damaged: {error}", COPY_AGAIN)) from error
    for file in (path for suffix in _YAML for path in partial.rglob(f"*{suffix}")):
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
        if re.search(r"^train\s*:", text, re.MULTILINE):  # as Ultralytics: the data lies beside its YAML
            text = re.sub(r"^path\s*:", "# path:", text, flags=re.MULTILINE)
            file.write_text(text, encoding="utf-8", errors="surrogateescape")


def _refuse_too_large(size: int, named: str, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        found = f"{named} needs {size / 2**30:.1f} GiB, {free / 2**30:.1f} are free in {folder.parent}"
        raise ConfigError(Problem("data", found, "write another folder, paths.cache=…"))


def _inside(folder: Path, kind: Kind, task: Task) -> Path:
    """What of an opened source is the dataset."""
    if kind is Kind.ndjson:
        is_classes, is_wanted = (folder / ".ndjson.yaml").is_file(), task.label_kind is LabelKind.folders
        if is_classes and not is_wanted:
            found = f"the dataset is one of classes, the model's task {task.value}"
            raise ConfigError(Problem("model", found, "write a classification model: model=yolo26n-cls"))
        if is_wanted and not is_classes:
            instead = "write another model, as model=yolo26n"
            raise ConfigError(Problem("model", "the dataset is not one of classes", instead))
        return folder if is_classes else folder / "data.yaml"
    return _top(folder) if task.label_kind is LabelKind.folders else _dataset_yaml(folder)


def _top(folder: Path) -> Path:
    entries = [path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX"))]
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder


def _dataset_yaml(folder: Path) -> Path:
    """The YAML nearest to the top; of several the one that is called as its folder; without any the top folder."""
    files = [path for suffix in _YAML for path in folder.rglob(f"*{suffix}") if "__MACOSX" not in path.parts]
    depth = min((len(path.parts) for path in files), default=0)
    nearest = sorted(path for path in files if len(path.parts) == depth)
    if len(nearest) > 1:
        nearest = [path for path in nearest if path.stem == path.parent.name] or nearest
    if len(nearest) == 1:
        return nearest[0]
    if not nearest:
        return _top(folder)
    found = f"the archive holds {', '.join(str(path.relative_to(folder)) for path in nearest)}"
    raise ConfigError(Problem("data", found, f"write the one that is meant; all lies in {folder}"))
