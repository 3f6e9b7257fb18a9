from __future__ import annotations

import pytest
import torch

from yoloscale.engine import precision
from yoloscale.engine.precision import choose

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("amp", "native", "name"),
    [
        (True, True, "bf16"),
        (True, False, "fp32"),
        ("true", True, "bf16"),
        (False, True, "fp32"),
        ("fp32", True, "fp32"),
        ("bf16", False, "bf16"),
        ("fp16", True, "fp32"),
    ],
)
def test_on_a_cpu_true_means_bfloat16_where_it_is_native(
    monkeypatch: pytest.MonkeyPatch, amp: bool | str, native: bool, name: str
) -> None:
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: native)
    chosen = choose(amp, CPU)
    assert chosen.name == name
    assert not chosen.scaled


@pytest.mark.parametrize(
    ("amp", "name", "scaled"),
    [
        (True, "fp16", True),
        ("fp16", "fp16", True),
        ("bf16", "bf16", False),
        (False, "tf32", False),
        ("false", "tf32", False),
        ("fp32", "fp32", False),
    ],
)
def test_on_a_gpu_true_and_false_mean_what_they_do_in_ultralytics(
    monkeypatch: pytest.MonkeyPatch, amp: bool | str, name: str, scaled: bool
) -> None:
    monkeypatch.setattr(precision, "gpu_has_tf32", lambda _: True)
    chosen = choose(amp, CUDA)
    assert (chosen.name, chosen.scaled) == (name, scaled)


def test_a_gpu_without_tf32_has_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "gpu_has_tf32", lambda _: False)
    assert choose(False, CUDA).name == "fp32"


def test_the_forward_pass_has_the_chosen_type() -> None:
    layer = torch.nn.Linear(4, 4)
    for amp, dtype in (("bf16", torch.bfloat16), (False, torch.float32)):
        with choose(amp, CPU).autocast():
            assert layer(torch.zeros(1, 4)).dtype is dtype
