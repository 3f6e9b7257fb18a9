"""The control groups (cgroup v2 or v1) of this process, whose limits are a job's or a container's."""

from __future__ import annotations

from pathlib import Path

PROC, MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def folders(controller: str, proc: Path = PROC, root: Path = MOUNT) -> list[Path]:
    """The process's own groups that a controller (cpu, memory) may limit, and all their parents.

    Inside a container the own group may be mounted at the root. Some of the folders may not exist.
    """
    groups: list[Path] = []
    for line in read(proc).splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mounts = [root / name for name in (controllers, controller) if controllers]
        hierarchy = next((mount for mount in mounts if mount.is_dir()), root)
        leaf = hierarchy / group.lstrip("/")
        groups += [leaf, *(above for above in leaf.parents if above == hierarchy or hierarchy in above.parents)]
    return groups


def read(path: Path) -> str:
    """What the file says; nothing if it is absent, or of another hierarchy than this kernel's."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
