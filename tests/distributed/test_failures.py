"""What an error of a rank means, and the variables that decide which errors there are."""

from __future__ import annotations

import pytest
import torch

from yoloscale.distributed.failures import is_collateral, is_out_of_memory, out_of_memory
from yoloscale.distributed.libraries import set_variables
from yoloscale.distributed.peers import Peers

NCCL = "NCCL error in: ProcessGroupNCCL.cpp:3690, {}, NCCL version 2.27.5"
REMOTE = "remote process exited or there was a network error"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[gloo] Connection closed by peer [127.0.0.1]:31", True),
        ("Application timeout caused pair closure, Connection reset by peer", True),
        (NCCL.format(f"{REMOTE}\nncclRemoteError: A call failed possibly due to a network error"), True),
        (NCCL.format("invalid usage\nDuplicate GPU detected : rank 1 and rank 0 both on CUDA device 81000"), False),
        (NCCL.format("unhandled system error (run with NCCL_DEBUG=INFO for details)"), False),
    ],
)
def test_only_a_connection_that_broke_tells_of_another_rank(text: str, expected: bool) -> None:
    error = torch.distributed.DistBackendError(text)
    assert is_collateral(error, have_met=True, devices_have_met=True) is expected
    assert not is_collateral(error, have_met=False, devices_have_met=False), "a network that never worked"


def test_gpus_that_never_met_have_an_error_of_their_own_though_their_hosts_have() -> None:
    peers = Peers()
    with peers.waiting():
        pass  # joining, and barriers over the hosts
    remote = torch.distributed.DistBackendError(NCCL.format(f"{REMOTE}\nncclRemoteError: A call failed"))
    assert not peers.is_collateral(remote)
    assert peers.is_collateral(torch.distributed.DistBackendError("[gloo] Connection closed by peer [127.0.0.1]:31"))
    with peers.waiting(on_devices=True):
        pass
    assert peers.is_collateral(remote)


def test_a_tracker_whose_server_hangs_up_is_an_error_of_this_rank() -> None:
    assert not is_collateral(ConnectionResetError("Connection reset by peer"), have_met=True, devices_have_met=True)
    assert not is_collateral(BrokenPipeError("Broken pipe"), have_met=True, devices_have_met=True)


def test_a_full_gpu_is_named_with_its_numbers() -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    assert is_out_of_memory(error)
    said = out_of_memory(error, 16, 20 * 2**30, 2**29, 24 * 2**30)
    assert said.startswith("OutOfMemoryError: the GPU's memory is full (16 images per rank, 20.0 GiB reserved")
    assert "0.5 of 24.0 GiB free): write batch=8 per rank" in said


def test_torch_is_told_to_leave_failures_to_us_unless_a_person_says_otherwise() -> None:
    environ = {"TORCH_NCCL_ASYNC_ERROR_HANDLING": "3", "PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:64"}
    set_variables(environ, 600.0, torch="2.14.1+cu130")
    assert environ == {
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": "3",
        "TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC": "28800",
        "TORCH_NCCL_DUMP_ON_TIMEOUT": "0",
        "TORCH_FR_BUFFER_SIZE": "2000",
        "PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:64",
    }


def test_older_releases_of_torch_read_other_names() -> None:
    environ: dict[str, str] = {}
    set_variables(environ, 10_000.0, torch="2.6.0")
    assert environ["TORCH_NCCL_ASYNC_ERROR_HANDLING"] == "0"
    assert environ["TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC"] == "40000"
    assert environ["TORCH_NCCL_TRACE_BUFFER_SIZE"] == "2000"
    assert environ["PYTORCH_CUDA_ALLOC_CONF"] == "expandable_segments:True"
    assert "TORCH_FR_BUFFER_SIZE" not in environ
