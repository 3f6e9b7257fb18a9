"""What a dataset check found, for printing and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from yoloscale.config.schema import LabelKind, Task
from yoloscale.system.formatting import counted

_SHOWN = 10  # entries of a long list that `lines` prints


@dataclass(frozen=True)
class SplitReport:
    """One split. Images that training skips (`skipped`) are in `images`, but their labels are counted nowhere."""

    images: int
    bytes: int  # of the image files
    labelled: int = 0  # images with at least one object, a mask or a depth map
    backgrounds: int = 0  # images without any
    objects: int = 0
    per_class: dict[str, int] = field(default_factory=dict)  # objects; images for classification; none of pictures
    duplicates: int = 0  # repeated label lines, which training leaves out
    skipped: tuple[str, ...] = ()  # "file: reason", sorted: corrupt images and labels, images without mask or depth map
    rewritten: tuple[str, ...] = ()  # JPEGs that the first scan of Ultralytics writes anew, sorted
    over_edge: int = 0  # boxes of an evaluated split that reach so far over the edge of their image that it costs mAP
    flat: int = 0  # boxes of an evaluated split without width or height
    attainable: float = 1.0  # about the mAP50-95 of a model that finds the parts inside perfectly
    edge_example: str = ""  # file and line of the first box over the edge, and the line to write
    unread: int = 0  # of `skipped`, because the file system failed
    cure: str = ""  # how most of `skipped` are mended, where that is known

    def remarks(self) -> Iterator[str]:
        """What training does with some files that a person may not expect."""
        if self.unread:
            yield (
                f"the file system failed on {counted(self.unread, 'image or label', 'images or labels')}, which the "
                "ranks may be able to read, or others not; they are looked at again at the next start"
            )
        if self.duplicates:
            yield f"{counted(self.duplicates, 'repeated label line')} left out"
        if self.over_edge:
            yield (
                f"{self.over_edge} of {counted(self.objects, 'box', 'boxes')} reach over the edge of their image: "
                f"training sees the part inside, validation compares with the whole box, so mAP50-95 ends at about "
                f"{self.attainable:.2f}; {self.edge_example}"
            )
        if self.flat:
            yield f"{counted(self.flat, 'box', 'boxes')} without width or height: validation counts them as not found"
        if self.rewritten:
            yield (
                f"{counted(len(self.rewritten), 'JPEG')} with bytes behind the end: Ultralytics decodes and writes "
                f"such files anew, in place, larger and without EXIF; the first is {self.rewritten[0]}"
            )


@dataclass(frozen=True)
class DatasetReport:
    """A dataset without fatal problems."""

    source: str
    task: str
    names: tuple[str, ...]
    splits: dict[str, SplitReport]
    notes: tuple[str, ...] = field(default=())  # worth knowing, no reason to stop
    deep: bool = False  # whether every image was opened
    digest: str | None = None  # of names, sizes and labels (datasets/identity.py)

    def as_json(self) -> dict[str, Any]:
        """Plain containers."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> DatasetReport:
        """Undo `as_json`, also after a trip through JSON text."""
        splits = {
            name: SplitReport(**{**split, **{key: tuple(split[key]) for key in ("skipped", "rewritten")}})
            for name, split in content["splits"].items()
        }
        lists = {name: tuple(content[name]) for name in ("names", "notes")}
        return cls(**{**content, **lists, "splits": splits})

    def lines(self) -> Iterator[str]:
        """The report as lines of text."""
        yield f"{self.source} ({self.task}, {counted(len(self.names), 'class', 'classes')})"
        for name, split in self.splits.items():
            yield f"  {name}: {counted(split.images, 'image')}, {split.bytes / 2**20:.1f} MiB, {self._labels(split)}"
            if split.per_class:
                yield f"    {_listed([f'{kind} {count}' for kind, count in split.per_class.items()], '  ')}"
            yield from (f"    {line}" for line in split.remarks())
            yield from (f"    {line}" for line in _skipped(split, ""))
        yield from (f"  note: {note}" for note in self.notes)

    def warnings(self) -> Iterator[str]:
        """What training skips, and why, for somebody who did not ask for the whole report."""
        yield from self.notes
        for name, split in self.splits.items():
            yield from (f"{name}: {line}" for line in split.remarks())
            yield from _skipped(split, f"{name}: ", ": `yoloscale data check` lists them")

    def _labels(self, split: SplitReport) -> str:
        kind = Task(self.task).label_kind
        if kind is LabelKind.folders:
            return counted(len(split.per_class), "class", "classes")
        if kind is LabelKind.depth:
            return counted(split.labelled, "depth map")
        if not split.objects:
            return f"{split.labelled} labelled"
        return f"{counted(split.objects, 'object')}, {counted(split.backgrounds, 'background')}"


def _skipped(split: SplitReport, lead: str, where_all: str = "") -> Iterator[str]:
    """The first images that training skips below a line that begins with `lead`; none if it skips none."""
    if split.skipped:
        yield f"{lead}{counted(len(split.skipped), 'image')} skipped in training:"
        yield from (f"  {line}" for line in split.skipped[:_SHOWN])
        if len(split.skipped) > _SHOWN:
            yield f"  … and {len(split.skipped) - _SHOWN} more{where_all}"
        if split.cure:
            yield f"  most of them: {split.cure.splitlines()[0]}"


def _listed(entries: list[str], separator: str) -> str:
    shown = separator.join(entries[: 2 * _SHOWN])
    return shown if len(entries) <= 2 * _SHOWN else f"{shown}{separator}… and {len(entries) - 2 * _SHOWN} more"
