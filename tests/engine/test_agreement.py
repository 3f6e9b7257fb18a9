"""Two ranks: what one of them meets, both skip, go back from, save and stop for, alike."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch

from yoloscale.checkpoint.interval import When
from yoloscale.distributed.environment import Ranks
from yoloscale.engine.stop_requests import Stop


def toy(folder: str, ranks: Ranks, group: Any, **options: Any) -> Any:
    """A `ToyRun` in a process that pytest did not start."""
    specification = importlib.util.spec_from_file_location("toys", Path(__file__).with_name("conftest.py"))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["toys"] = module
    specification.loader.exec_module(module)
    # the ranks evaluate alike, as the real evaluation does
    return module.ToyRun(Path(folder), ranks=ranks, group=group, **options)


def digest(run: Any) -> str:
    """Of all that training depends on; a rank without images in a short last step counts one batch less."""
    state = {name: value for name, value in run.state().items() if "num_batches_tracked" not in name}
    return hashlib.sha256(b"".join(state[name].numpy().tobytes() for name in sorted(state))).hexdigest()


def bad_steps(ranks: Ranks, group: Any, folder: str) -> dict[str, Any]:
    """Rank 1 alone sees images that are NaN, in three steps in a row of the second epoch, the first time only."""
    seen: list[int] = []

    def poison(epoch: int, sample: int) -> bool:
        seen.append(epoch)
        return epoch == 1 and ranks.rank == 1 and run.loop.progress.recovery.rollbacks == 0

    run = toy(folder, ranks, group, poison=poison, skips=3, samples=41, epochs=3, when=When(every_steps=1))
    outcome = run.run()
    recovery = run.loop.progress.recovery
    return {
        "outcome": outcome.value,
        "state": digest(run),
        "recovery": (recovery.scale, recovery.rollbacks, recovery.skipped_in_all),
        "warnings": run.notes.warnings,
    }


def test_a_rank_with_bad_images_takes_the_others_back_with_it(launch_ranks: Any, tmp_path: Path) -> None:
    first, second = launch_ranks(bad_steps, 2, str(tmp_path / "run"))
    assert first == second
    assert first["outcome"] == "finished"
    assert first["recovery"] == (0.5, 0, 3)
    assert "step size × 0.5" in first["warnings"][-1]


def stops_and_requests(ranks: Ranks, group: Any, folder: str) -> dict[str, Any]:
    """Rank 1 asks for a checkpoint in step 2 and for a stop in step 5."""

    def ask(run: Any, steps: int) -> None:
        if ranks.rank == 1 and steps == 1:
            run.requests.wants_checkpoint = True
        if ranks.rank == 1 and steps == 4:
            run.requests.ask(Stop.terminate)

    run = toy(folder, ranks, group, stop_before=ask)
    return {"outcome": run.run().value, "state": digest(run), "step": run.loop.progress.position.total}


def goes_on(ranks: Ranks, group: Any, folder: str) -> dict[str, Any]:
    run = toy(folder, ranks, group)
    from_step = run.loop.progress.position.total
    return {"from": from_step, "outcome": run.run().value, "state": digest(run)}


def test_what_one_rank_is_asked_for_all_do(launch_ranks: Any, tmp_path: Path) -> None:
    first, second = launch_ranks(stops_and_requests, 2, str(tmp_path / "run"))
    assert first == second
    assert (first["outcome"], first["step"]) == ("preempted", 5)
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["step-000000003", "step-000000005"], "step 2's has given way to them"
    resumed = launch_ranks(goes_on, 2, str(tmp_path / "run"))
    whole = launch_ranks(goes_on, 2, str(tmp_path / "whole"))
    assert [result["from"] for result in resumed] == [5, 5]
    assert {result["state"] for result in resumed} == {result["state"] for result in whole}
    assert len({result["state"] for result in whole}) == 1


def broken(ranks: Ranks, group: Any, folder: str) -> str:
    from yoloscale.errors import ConfigError

    try:
        toy(folder, ranks, group)
    except ConfigError as error:
        return str(error)
    return "started"


def test_without_a_valid_checkpoint_all_ranks_refuse_to_start_from_scratch(launch_ranks: Any, tmp_path: Path) -> None:
    for step in (3, 6):
        folder = tmp_path / "run" / "checkpoints" / f"step-{step:09d}"
        folder.mkdir(parents=True)
        torch.save({}, folder / "state.pt")
    said = launch_ranks(broken, 2, str(tmp_path / "run"))
    assert said[0] == said[1]
    assert "step-000000006" in said[0]
    assert "move" in said[0]
    assert len(list((tmp_path / "run" / "checkpoints").glob("step-*"))) == 2, "they stay where they are"
