"""What an exception of a rank means. Pure, without torch: told by names and texts, which tests hold against torch."""

from __future__ import annotations

PEER_IS_GONE = (  # what gloo, c10d's store and NCCL say of a connection whose other end has gone
    "closed by peer",
    "reset by peer",
    "socket closed",
    "remote process exited",
    "ncclremoteerror",
    "broken pipe",
    "timed out waiting",
)


def is_collateral(error: BaseException, *, have_met: bool, devices_have_met: bool) -> bool:
    """Whether the error only says that another rank is gone.

    Never before a collective has worked: until then a connection that breaks may be a wrong network, and is what there
    is to tell. `have_met`: one over the hosts, or joining, for which gloo connects all. `devices_have_met`: one over
    the GPUs, as NCCL connects in its first one. It has other errors than that: a GPU that two ranks share, InfiniBand
    set up wrongly.
    """
    if not isinstance(error, RuntimeError) or isinstance(error, OSError):
        return False
    text = str(error).lower()
    return (devices_have_met if "nccl" in text else have_met) and any(sign in text for sign in PEER_IS_GONE)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a GPU's memory was not enough."""
    return type(error).__name__ == "OutOfMemoryError"


def out_of_memory(error: BaseException, batch: int, reserved_bytes: int, free_bytes: int, total_bytes: int) -> str:
    """The sentence for a GPU that is full. `batch`: images of a rank, 0 where it is not known."""
    images = f"{batch} images per rank, " if batch else ""
    fewer = f"batch={batch // 2} per rank" if batch > 1 else "a smaller batch"
    gib = 2**30
    return (
        f"OutOfMemoryError: the GPU's memory is full ({images}{reserved_bytes / gib:.1f} GiB reserved by this rank, "
        f"{free_bytes / gib:.1f} of {total_bytes / gib:.1f} GiB free): write {fewer} or a smaller imgsz; if other "
        f"programs use this GPU, end them. torch says: {error}"
    )
