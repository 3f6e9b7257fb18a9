"""What every test gets: folders of its own for all that Ultralytics and yoloscale keep, and the leak police."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from tests.ports import free_port

from yoloscale.distributed.heartbeat import HEARTBEAT
from yoloscale.system.files import write_whole

TESTS = Path(__file__).parent
ROOT = TESTS.parent
SOURCE = ROOT / "src"

OWN_FOLDERS = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
FORMER_VALUES = pytest.StashKey[dict[str, "str | None"]]()

# set once by imports (torch, ultralytics, polars, pytest) and by Ultralytics' seeding; harmless to whatever comes after
LIBRARY_VARIABLES = frozenset(
    {
        *("PYTEST_CURRENT_TEST", "PYTHONHASHSEED", "LD_LIBRARY_PATH", "MPLBACKEND", "_RJEM_MALLOC_CONF"),
        *("OMP_NUM_THREADS", "NUMEXPR_MAX_THREADS", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"),
        *("TORCH_CPP_LOG_LEVEL", "KINETO_LOG_LEVEL", "TF_CPP_MIN_LOG_LEVEL", "TF_USE_LEGACY_KERAS"),
        *("CUBLAS_WORKSPACE_CONFIG", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"),
        *("QT_QPA_FONTDIR", "QT_QPA_PLATFORM_PLUGIN_PATH", "NO_ALBUMENTATIONS_UPDATE", "ALBUMENTATIONS_NO_TELEMETRY"),
    }
)
# kept for the life of a process by pytest-timeout, tqdm, torch and fsspec
LIBRARY_THREADS = ("pytest_timeout", "Dummy-", "tqdm", "pydevd", "ptvsd", "execnet", "fsspecIO")
# not SIGCHLD: it is torch's from its first loader on
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# what a program that forgot its run folder would leave in the folder it was started in
STRAYS = ("runs", "wandb", "outputs", "multirun", "datasets", "weights", "lightning_logs")
CLUSTER = "tests/slurm/"
MINUTES_EACH = ("tests/e2e/test_equivalence.py", "tests/e2e/test_exact.py", "tests/yolo/test_evaluation.py")
GRACE_S = 120.0  # others may be at work on this machine, in /dev/shm, too; a test that leaves nothing does not wait


RTDETR = {  # RT-DETR's decoder on a backbone of a few layers
    "nc": 80,
    "scales": {"l": [1.0, 1.0, 1024]},
    "backbone": [
        [-1, 1, "HGStem", [16, 24]],
        [-1, 1, "HGBlock", [16, 32, 3]],
        [-1, 1, "DWConv", [32, 3, 2, 1, False]],
        [-1, 1, "HGBlock", [24, 48, 3]],
        [-1, 1, "DWConv", [48, 3, 2, 1, False]],
        [-1, 1, "HGBlock", [24, 64, 3]],
        [-1, 1, "DWConv", [64, 3, 2, 1, False]],
        [-1, 1, "Conv", [64, 1, 1]],
    ],
    "head": [[[3, 5, 7], 1, "RTDETRDecoder", ["nc", 64, 60, 4, 4, 2]]],
}


def pytest_configure(config: pytest.Config) -> None:
    """Give Ultralytics and the caches folders of this session, before anything imports them.

    What `nohup` or a shell in the background has ignored is not, in the processes that tests send signals to.
    """
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    folder = tempfile.TemporaryDirectory(prefix="test-session-", ignore_cleanup_errors=True)
    own = {
        "YOLO_CONFIG_DIR": f"{folder.name}/ultralytics",
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "OMP_WAIT_POLICY": "passive",  # threads that spin while others have the cores make a step 20 times as long
        "WANDB_MODE": "offline",
        "WANDB_DIR": folder.name,
        "WANDB_CACHE_DIR": f"{folder.name}/wandb-cache",
        "WANDB_CONFIG_DIR": f"{folder.name}/wandb-config",
        "WANDB_DATA_DIR": f"{folder.name}/wandb-data",
    }
    config.stash[OWN_FOLDERS] = folder
    config.stash[FORMER_VALUES] = {name: os.environ.get(name) for name in own}
    (Path(folder.name) / "ultralytics").mkdir()
    os.environ.update(own)


def pytest_unconfigure(config: pytest.Config) -> None:
    for name, value in config.stash[FORMER_VALUES].items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    config.stash[OWN_FOLDERS].cleanup()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what an ordinary run leaves out; what it skips for want of something is listed by `-rfEs`."""
    if "not long" in config.option.markexpr:
        terminalreporter.line(
            "left out: tests that take minutes (make test-long), fetch something (-m network), need a GPU (-m gpu)"
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n 3`, one process has all tests of a file, which share what they make, and one has all of the cluster."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(CLUSTER):
                return CLUSTER
            return nodeid if nodeid.startswith(MINUTES_EACH) else str(super()._split_scope(nodeid))

    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what takes longest and mostly waits: the tests that share the SLURM cluster."""
    items.sort(key=lambda item: not item.nodeid.startswith(CLUSTER))


@pytest.fixture(autouse=True)
def fresh_heartbeat() -> None:
    """No test finds what an earlier one in this process did last."""
    HEARTBEAT.__init__()  # type: ignore[misc]


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """A test that leaves a variable, a process, a thread, a handler, a process group or a file behind fails."""
    before = _what_is_there()
    yield
    deadline = time.monotonic() + GRACE_S
    while (leaks := _leaks(before)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not leaks, "\n".join(leaks)


def _what_is_there() -> dict[str, Any]:
    return {
        "variables": {name: value for name, value in os.environ.items() if name not in LIBRARY_VARIABLES},
        "folder": Path.cwd(),
        "handlers": {number.name: signal.getsignal(number) for number in SIGNALS},
        "threads": set(threading.enumerate()),
        "processes": _children(),
        "files": _strays(),
    }


def _leaks(before: Mapping[str, Any]) -> list[str]:
    now = _what_is_there()
    found = [
        f"{kind} changed: {sorted(map(str, before[kind].items() ^ now[kind].items()))}"
        for kind in ("variables", "handlers")
        if before[kind] != now[kind]
    ]
    if before["folder"] != now["folder"]:
        found.append(f"the working folder is {now['folder']}")
    threads = [t for t in now["threads"] - before["threads"] if not t.name.startswith(LIBRARY_THREADS)]
    found += [f"thread {thread.name} runs" for thread in threads]
    found += [f"process {process} runs" for process in now["processes"] - before["processes"]]
    found += [f"file {path} was left" for path in now["files"] - before["files"]]
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        found.append("a process group was not left")
    return found


def _children() -> set[str]:
    """Child processes, less those that multiprocessing keeps for the session; as text, so that a dead one compares."""
    found = set()
    for number in _descendants(os.getpid()):
        try:
            process = psutil.Process(number)
            command = " ".join(process.cmdline())
            kept = "resource_tracker" in command or "forkserver" in command
            if not kept and process.status() != psutil.STATUS_ZOMBIE:
                found.add(f"{process.pid} {command}")
        except psutil.NoSuchProcess:
            continue
    return found


def _descendants(number: int) -> list[int]:
    """As psutil's children(recursive=True), which looks at every process of the machine: too slow for every test."""
    below = []
    for thread in Path(f"/proc/{number}/task").glob("*/children"):
        try:
            below += [int(child) for child in thread.read_text().split()]
        except OSError:  # the thread or the process has just ended
            continue
    return below + [number for child in below for number in _descendants(child)]


def _strays() -> set[Path]:
    here = {path for name in STRAYS for path in (Path.cwd() / name, ROOT / name) if path.exists()}
    weights = {path for folder in (Path.cwd(), ROOT) for path in folder.glob("*.pt")}
    memory = Path("/dev/shm")
    return here | weights | (set(memory.glob("yoloscale-*")) if memory.is_dir() else set())


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for the whole session, so that every data set is rendered once; xdist workers share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "session-cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def narrow_model(cache: Path) -> Callable[[str], Path]:
    """`narrow_model("yolo26-seg")`: an architecture file with all the layers of yolo26n-seg at a quarter of the width.

    A step takes half as long, a checkpoint a twelfth of the bytes: for runs in which it does not matter what is learnt.
    """
    package = importlib.util.find_spec("ultralytics")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "cfg" / "models"

    def write(family: str) -> Path:
        (source,) = folder.rglob(f"{family}.yaml")
        architecture = yaml.safe_load(source.read_text())
        depth, width, channels = architecture["scales"]["n"]
        architecture["scales"] = {"n": [depth, width / 4, channels]}
        file = cache / "models" / f"narrow-{re.sub(r'(?<=[0-9])(?=-|$)', 'n', family)}.yaml"
        file.parent.mkdir(exist_ok=True)
        write_whole(file, yaml.safe_dump(architecture))
        return file

    return write


@pytest.fixture(scope="session")
def small_rtdetr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An architecture file of RT-DETR that trains in seconds."""
    file = tmp_path_factory.mktemp("models") / "rtdetr-small.yaml"
    file.write_text(yaml.safe_dump(RTDETR))
    return file


@pytest.fixture
def mount_disk() -> Iterator[Callable[[Path, str], Path]]:
    """`mount_disk(folder, "64k")`: a file system of that size in a folder, which is made; gone after the test."""
    mounted: list[Path] = []

    def mount(folder: Path, size: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            missing = f"a file system cannot be mounted here (root can): {done.stderr.strip()}"
            pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


Launch = Callable[..., list[Any]]


@pytest.fixture(scope="session")
def launch_ranks(tmp_path_factory: pytest.TempPathFactory) -> Launch:
    """`launch_ranks(function, world_size, *arguments)`: call a module-level function of the test in gloo ranks.

    Each rank is a process of its own that imports the test module from its file, joins the others and calls
    `function(ranks, group, *arguments)`, `group` being what `dist.group.join` returned. Returns what the ranks
    returned, in rank order; all that torch.save takes may travel.
    """

    processes_of_torch = multiprocessing.get_context("forkserver")
    processes_of_torch.set_forkserver_preload(["torch", "torch._dynamo", "cv2"])  # seconds less for each rank

    def launch(function: Callable[..., Any], world_size: int, *arguments: Any, timeout_s: float = 300) -> list[Any]:
        import torch
        from tests import rank_program

        folder = tmp_path_factory.mktemp("ranks")
        torch.save(arguments, folder / "arguments.pt")
        file = sys.modules[function.__module__].__file__
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "WORLD_SIZE": str(world_size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()),
        }
        processes = []
        for rank in range(world_size):
            variables = {**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            given = (file, function.__name__, folder, variables)
            processes.append(processes_of_torch.Process(target=rank_program.main, args=given))
            processes[-1].start()
        codes = _wait(processes, timeout_s)
        assert codes == [0] * world_size, "\n".join(log.read_text() for log in sorted(folder.glob("*.log")))
        return [torch.load(folder / f"result-{rank}.pt", weights_only=False) for rank in range(world_size)]

    return launch


def _wait(processes: list[Any], timeout_s: float) -> list[int]:
    """The exit codes when all have ended; one that failed or is late ends them all."""
    deadline = time.monotonic() + timeout_s
    try:
        while any(process.is_alive() for process in processes):
            failed = any(process.exitcode for process in processes)
            if failed or time.monotonic() > deadline:
                break
            time.sleep(0.02)
    finally:
        time.sleep(0.2 if any(process.exitcode for process in processes) else 0)  # let the others say why, too
        for process in processes:
            process.kill()
            process.join()
        codes = [process.exitcode for process in processes]
        for process in processes:
            process.close()
    return codes
