from __future__ import annotations

import torch
from torch import nn

from yoloscale.engine.ema import AveragedModel


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1).requires_grad_(False))


def disturb(module: nn.Module, seed: int) -> None:
    torch.manual_seed(seed)
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.randn_like(value))


def test_it_is_ultralytics_average() -> None:
    from ultralytics.utils.torch_utils import ModelEMA

    module = model()
    ours, theirs = AveragedModel(module), ModelEMA(module)
    for update in range(1, 50):
        disturb(module, update)
        ours.update()
        theirs.update(module)
    assert ours.updates == theirs.updates
    expected = theirs.ema.state_dict()
    for name, value in ours.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6)


def test_it_follows_after_a_state_was_loaded_into_the_module() -> None:
    module, other = model(), model()
    ours = AveragedModel(module)
    disturb(other, 1)
    module.load_state_dict(other.state_dict())
    before = ours.module[0].weight.clone()
    ours.update()
    assert not torch.equal(ours.module[0].weight, before)


def test_it_is_for_evaluation_only() -> None:
    ours = AveragedModel(model().train())
    assert not ours.module.training
    assert not any(parameter.requires_grad for parameter in ours.module.parameters())


def test_what_a_bad_step_broke_is_mended_and_nothing_else_is_touched() -> None:
    module = model()
    ours = AveragedModel(module)
    disturb(module, 1)
    ours.update()
    module[1].running_var[0] = float("nan")
    weight = module[0].weight.clone()
    ours.mend()
    assert torch.equal(module[1].running_var, ours.module[1].running_var)
    assert torch.equal(module[0].weight, weight)
