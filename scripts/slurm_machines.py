"""The machines of a throwaway cluster: what runs, where, and how it is started, connected and ended.

A machine is the controller or a node: an idle `sh`, process 1 of namespaces of its own, which can be told from all
other processes by its arguments. No file lists what runs, so after a SIGKILL at any moment the process table is still
right. The nodes are within the controller's process namespace: with its process 1 all of the cluster ends, whatever
its state, and the kernel takes the interfaces away, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

CONTROLLER = "controller"
MARK = "slurm-cluster-machine"
IDLE_SHELL = "while :; do sleep 3600; done"  # a shell that waits reaps the orphans, too, which process 1 has to
FREEZER = Path("/sys/fs/cgroup/freezer")
LONG_S = 60.0  # for what takes a second


class ClusterError(Exception):
    """Something that a person has to be told; the command ends with `exit_code`."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run(*command: str | Path, text: str = "", timeout_s: float = LONG_S) -> str:
    """What a command printed. Raises ClusterError with what it had to say if it failed."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{shlex.join(words)} has not ended after {timeout_s:.0f} s") from None
    if done.returncode:
        raise ClusterError(f"{shlex.join(words)} failed ({done.returncode}): {(done.stderr or done.stdout).strip()}")
    return done.stdout


def start(command: Sequence[str], output: Path, keep: tuple[int, ...] = ()) -> None:
    """Start what is to outlive this script: it gets no terminal, session or file of it, but for those in `keep`."""
    files = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "pass_fds": keep}
    with output.open("ab") as log:
        subprocess.run(command, cwd="/", stdout=log, timeout=LONG_S, check=True, **files)


def wait_for(what: str, is_so: Callable[[], bool], logs: Sequence[Path], lives: Callable[[], bool]) -> None:
    """Raises ClusterError with the ends of the logs if it takes too long, or if it has become futile."""
    began = time.monotonic()
    while not is_so():
        waited_s = time.monotonic() - began
        if waited_s > LONG_S or (waited_s > 3 and not lives()):
            said = [line for log in logs if log.exists() for line in log.read_text(errors="replace").splitlines()[-8:]]
            why = f"not after {waited_s:.0f} s" if lives() else "it has ended"
            raise ClusterError("\n    ".join([f"{what}: {why}. The end of {logs[-1]}:", *said]))
        time.sleep(0.05)


def inside(process: int, *namespaces: str) -> list[str]:
    """The words that make a command run in a machine, or in some of its namespaces only."""
    names = namespaces or ("mount", "uts", "ipc", "net", "pid")
    return ["nsenter", "--target", str(process), *(f"--{name}" for name in names), "--"]


def machine_processes(folder: Path) -> Iterator[tuple[int, str, bool]]:
    """Process number, machine, and whether it is the machine's process 1, not one that waits for it."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            words = entry.read_text(errors="replace").split("\0")[:-1]
            if words[-3:-1] == [MARK, str(folder)]:
                yield int(entry.parent.name), words[-1], words[0] == "sh"


def machines(folder: Path) -> dict[str, int]:
    """The machines that are on, each with the number that its process 1 has here."""
    return {name: process for process, name, is_first in machine_processes(folder) if is_first}


def daemons(machine: int, program: str) -> list[int]:
    """The processes of a machine that run a program."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_there = (entry / "ns" / "pid").readlink() == Path(f"/proc/{machine}/ns/pid").readlink()
            if is_there and (entry / "comm").read_text().strip() == program:
                found.append(int(entry.name))
    return found


def end(processes: Sequence[int], number: int = signal.SIGKILL) -> None:
    """Send a signal, and wait until they have ended; the process 1 of a machine ends after all others there."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(process)
            signal.pidfd_send_signal(handle, number)
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            if not poll.poll(LONG_S * 1000):
                raise ClusterError(f"process {process} does not end")
            os.close(handle)


def start_daemon(folder: Path, machine: str, command: Sequence[str], *question: str | Path) -> None:
    """Start a daemon on a machine, and wait until the command that asks it something succeeds, if there is one."""
    process, program = machines(folder)[machine], command[0]
    name = program if machine == CONTROLLER else f"{program}-{machine}"
    logs = [folder / "log" / f"{name}.{kind}" for kind in ("out", "log")]
    start([*inside(process), "setsid", "--fork", *command], logs[0])

    def answers() -> bool:
        try:
            run(*question, timeout_s=20)
        except ClusterError:
            return False
        return True

    if question:
        wait_for(f"{program} is to answer", answers, logs, lambda: bool(daemons(process, program)))


def boot(folder: Path, name: str, keep: tuple[int, ...] = ()) -> int:
    """Start a machine, a node within the controller, and return its process 1. It has no network yet."""
    around = [] if name == CONTROLLER else inside(machines(folder)[CONTROLLER], "pid")
    private = ["--net", "--uts", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
    log = folder / "log" / f"{name}.out"
    marked = ["sh", "-c", IDLE_SHELL, MARK, str(folder), name]
    start([*around, "setsid", "--fork", "unshare", *private, *marked], log, keep)
    wait_for(f"{name} is to start", lambda: name in machines(folder), [log], lambda: any(machine_processes(folder)))
    process = machines(folder)[name]
    furnish = 'hostname "$1"; mount --bind "$2" /etc/hosts; mount -t tmpfs -o size=2g tmpfs /dev/shm; ip link set lo up'
    run(*inside(process, "uts", "mount", "net"), "sh", "-euc", furnish, "sh", name, folder / "etc" / "hosts")
    return process


def ip(machine: int | None, *commands: str) -> None:
    """Commands of iproute2 in the network of a machine, or in the one of this script."""
    around = [] if machine is None else inside(machine, "net")
    run(*around, "ip", "-batch", "-", text="\n".join([*commands, ""]))


def join_network(controller: int) -> int:
    """Connect this machine and the controller, under a number that no other cluster has, and return it."""
    for number in range(1, 255):
        network = f"198.19.{number}"
        try:
            ip(None, f"link add slurm{number} type veth peer name uplink netns {controller}")
        except ClusterError as error:
            if "File exists" in str(error):
                continue
            raise
        ip(None, f"addr add {network}.1/24 dev slurm{number}", f"link set slurm{number} up")
        bridge = ("link add bridge type bridge", f"addr add {network}.2/24 dev bridge", "link set bridge up")
        ip(controller, *bridge, "link set uplink master bridge up")
        return number
    raise ClusterError("254 clusters are up: there is no network left")


def connect(folder: Path, name: str, address: str) -> None:
    """Connect a node that has just been booted with the controller and with the other nodes."""
    controller, process = machines(folder)[CONTROLLER], machines(folder)[name]
    ip(controller, f"link add {name} type veth peer name eth0 netns {process}", f"link set {name} master bridge up")
    ip(process, f"addr add {address}/24 dev eth0", "link set eth0 up")


def cut_off(folder: Path, name: str) -> None:
    """End a node with all that runs on it, as if its power had failed."""
    end([process for process, machine, _ in machine_processes(folder) if machine == name])
    with contextlib.suppress(ClusterError):  # the kernel takes it away, too, but only after a while
        ip(machines(folder)[CONTROLLER], f"link del {name}")


def remove_cgroups(names: Sequence[str]) -> None:
    """Remove what slurmd has made for nodes that are off."""
    for name in names:
        for path, _, _ in os.walk(FREEZER / f"slurm_{name}", topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()


def claim_freezer() -> tuple[str, tuple[int, ...]]:
    """How jobs are tracked, and the lock that the controller holds for it by keeping this file open.

    A cgroup has all processes of a job, as on a real site. It is named after the node alone, so one cluster can have
    them; the others go by parents and children, and lose sight of what a job orphans.
    """
    lock = FREEZER / "release_agent"  # the folder's own lock is slurmstepd's
    if os.access(lock, os.W_OK) and not any(FREEZER.glob("slurm_node*")):
        handle = os.open(lock, os.O_RDONLY)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return "cgroup", (handle,)
    return "linuxproc", ()
