"""Where the time went, from histories written by hand with known answers."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import Event, RolledBack, as_record, parse
from yoloscale.runs.goodput import SHARES, TimeSpent, starts, starts_of, time_spent
from yoloscale.runs.last_activity import last_time

BEGIN = 1_000_000.0  # seconds since the epoch; the histories count from it


def event(at: float, name: str, **fields: Any) -> Event:
    return parse({"event": name, "time": BEGIN + at, **fields})


def launched(at: float, attempt: int = 1) -> Event:
    return event(at, "attempt_launched", attempt=attempt)


def joined(at: float, attempt: int = 1) -> Event:
    return event(at, "attempt_started", attempt=attempt)


def trains(at: float, step: int = 0) -> Event:
    return event(at, "training_started", step=step)


def saved(at: float, step: int, blocked_s: float = 0.0, write_s: float = 0.0) -> Event:
    return event(at + write_s, "checkpoint_saved", step=step, taken=BEGIN + at, blocked_s=blocked_s)


def evaluated(at: float, seconds: float) -> Event:
    return event(at, "evaluated", seconds=seconds)


def rolled_back(at: float, step_from: int, step_to: int) -> Event:
    """As it is read again where it was written: a warning with more."""
    event = RolledBack(message="", step_from=step_from, step_to=step_to)
    return parse({"event": event.word, "time": BEGIN + at, **as_record(event)})


def exited(at: float, code: int) -> Event:
    return event(at, "exited", exit_code=code)


def spent(history: list[Event], end: float, goes_on: bool = False, signs: tuple[float, ...] = ()) -> TimeSpent:
    def last_sign(before: float) -> float | None:
        return max((BEGIN + sign for sign in signs if BEGIN + sign <= before), default=None)

    found = time_spent(starts(history, last_sign), BEGIN + end, goes_on=goes_on)
    assert found.total == pytest.approx(end if end > 0 else found.total)
    return found


def shares(found: TimeSpent) -> dict[str, float]:
    return {share: round(getattr(found, share), 6) for share in SHARES if round(getattr(found, share), 6)}


FIRST = [launched(0), joined(5), trains(10)]


def test_nothing_happened_yet() -> None:
    assert time_spent(starts([]), BEGIN, goes_on=False) == TimeSpent()
    assert TimeSpent().goodput == 0.0


def test_never_stopped() -> None:
    history = [*FIRST, saved(40, 30, 0.5, write_s=3), evaluated(60, 8), saved(60, 50, 1.5), evaluated(99, 2)]
    found = spent([*history, event(100, "finished"), exited(104, 0)], 100)
    assert shares(found) == {"setup": 10, "training": 78, "evaluation": 10, "saving": 2}
    assert found.goodput == pytest.approx(0.78)
    assert found.as_json()["total"] == 100


def test_going_on() -> None:
    assert shares(spent(FIRST, 50, goes_on=True)) == {"setup": 10, "training": 40}
    assert shares(spent(FIRST[:2], 7, goes_on=True)) == {"setup": 7}


def test_stopped_and_resumed_loses_nothing() -> None:
    history = [*FIRST, saved(20, 10), saved(50, 40, 1.0), event(51, "preempted", step=40), exited(53, 75)]
    assert shares(spent(history, 51)) == {"setup": 10, "training": 40, "saving": 1}
    history += [launched(80, 2), trains(85, 40)]
    found = spent(history, 100, goes_on=True)
    assert shares(found) == {"setup": 15, "training": 55, "saving": 1, "down": 29}


def test_killed_after_a_checkpoint_and_restarted_by_the_launcher() -> None:
    history = [*FIRST, saved(30, 20), evaluated(45, 5), saved(48, 35, 2.0), evaluated(58, 4)]
    history += [event(60, "restarted", attempt=2, step=35), launched(62, 2), trains(70, 35)]
    found = spent(history, 80, goes_on=True)
    assert shares(found) == {"setup": 18, "training": 43, "evaluation": 5, "lost": 12, "down": 2}
    older = [*history[:-1], trains(70, 20)]  # the newer one turned out to be broken
    assert shares(spent(older, 80, goes_on=True)) == {"setup": 18, "training": 30, "lost": 30, "down": 2}


def test_a_failed_run_has_lost_what_its_newest_checkpoint_lacks() -> None:
    history = [*FIRST, saved(30, 20), exited(50, 1)]
    assert shares(spent(history, 50)) == {"setup": 10, "training": 20, "lost": 20}
    assert shares(spent([*FIRST, exited(50, 1)], 50)) == {"setup": 10, "lost": 40}
    # the launcher is about to start it again
    assert shares(spent(history, 55, goes_on=True)) == {"setup": 10, "training": 20, "lost": 20, "down": 5}


def test_killed_twice_with_the_launcher() -> None:
    history = [*FIRST, saved(30, 20), launched(100, 2), trains(110, 20), saved(120, 30), launched(200, 3)]
    history += [trains(205, 30)]
    signs = (12, 44, 111, 150, 205, 230)
    found = spent(history, 230, signs=signs)
    assert shares(found) == {"setup": 25, "training": 30, "lost": 14 + 30 + 25, "down": 56 + 50}
    assert found.goodput == pytest.approx(30 / 230)


def test_an_attempt_without_a_checkpoint_of_its_own_is_lost_whole() -> None:
    history = [*FIRST, saved(30, 20), exited(35, 1), launched(35, 2), trains(40, 20), exited(60, 1), launched(60, 3)]
    history += [trains(65, 20)]
    assert shares(spent(history, 70, goes_on=True)) == {"setup": 20, "training": 25, "lost": 25}


def test_back_to_the_beginning() -> None:
    history = [*FIRST, evaluated(40, 5), exited(50, 1), launched(50, 2), trains(60, 0)]
    assert shares(spent(history, 65, goes_on=True)) == {"setup": 20, "training": 5, "lost": 40}


def test_a_checkpoint_whose_writer_could_not_say_so_is_the_newest() -> None:
    history = [*FIRST, saved(30, 20), exited(50, 1), launched(50, 2), trains(60, 39)]
    assert shares(spent(history, 65, goes_on=True)) == {"setup": 20, "training": 45}


def test_failed_in_set_up() -> None:
    history = [launched(0), joined(4), event(5, "failed"), exited(6, 1), launched(10, 2), exited(13, 2)]
    assert shares(spent(history, 13)) == {"setup": 9, "down": 4}


def test_by_hand_under_torchrun() -> None:
    importing = [event(at, "setup", phase="importing") for at in (0, 70)]
    history = [importing[0], joined(3), event(4, "setup", phase="data"), trains(10), saved(30, 20)]
    history += [importing[1], joined(72), trains(78, 20)]  # under the same number, as torchrun's own restarts are
    assert shares(spent(history, 80, goes_on=True, signs=(12, 45))) == {
        "setup": 18, "training": 22, "lost": 15, "down": 25,
    }  # fmt: skip


def test_who_takes_a_run_up_elsewhere_is_no_sign_of_life_of_it() -> None:
    history = [*FIRST, saved(30, 20), event(99, "moved"), launched(100, 2), trains(110, 20)]
    found = spent(history, 120, goes_on=True, signs=(12, 50))
    assert shares(found) == {"setup": 20, "training": 30, "lost": 20, "down": 50}


def test_a_stop_that_the_ranks_did_not_live_to_save_keeps_nothing() -> None:
    """Asked between two attempts, and while ranks that hung had to be killed: the launcher says that it stopped."""
    between = [*FIRST, saved(30, 20), event(50, "failed"), exited(50, 1)]
    between += [event(60, "preempted", step=20, saved=False), exited(60, 75)]
    assert shares(spent(between, 60)) == {"setup": 10, "training": 20, "lost": 20, "down": 10}
    resumed = spent([*between, launched(100, 2), trains(110, 20)], 120, goes_on=True)
    assert shares(resumed) == {"setup": 20, "training": 30, "lost": 20, "down": 50}
    hung = [*FIRST, event(90, "preempted", step=0, saved=False), exited(90, 75)]
    assert shares(spent(hung, 90)) == {"setup": 10, "lost": 80}
    resumed = spent([*hung, launched(100, 2), trains(110, 0)], 120, goes_on=True)
    assert shares(resumed) == {"setup": 20, "training": 10, "lost": 80, "down": 10}


def test_a_roll_back_loses_what_it_undoes() -> None:
    history = [*FIRST, saved(30, 20), rolled_back(50, 40, 20)]
    assert shares(spent(history, 60, goes_on=True)) == {"setup": 10, "training": 30, "lost": 20}


def test_checkpoints_of_earlier_versions() -> None:
    old = event(30, "checkpoint_saved", step=20, seconds=0.4, reason="epoch")
    history = [launched(0), trains(10), old, exited(40, 1), launched(40, 2), trains(50, 20)]
    assert shares(spent(history, 60, goes_on=True)) == {"setup": 20, "training": 30, "lost": 10}


def test_a_clock_that_was_set_back() -> None:
    history = [launched(0), trains(10), event(-500, "warning"), saved(-490, 5), exited(-480, 1)]
    assert shares(spent(history, -480)) == {"setup": 10}


NAMES = [
    "attempt_launched", "attempt_started", "setup", "training_started", "checkpoint_saved",
    "evaluated", "preempted", "restarted", "failed", "exited",
    "finished", "warning", "rolled_back", "moved",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(200))
def test_the_shares_of_any_history_add_up(seed: int) -> None:
    draw = random.Random(seed)
    history, now = [], 0.0
    for _ in range(draw.randrange(1, 60)):
        now += draw.choice([0.0, draw.expovariate(0.1), -1.0])
        fields = {"step": draw.randrange(4), "seconds": draw.expovariate(0.2)}
        fields |= {"taken": BEGIN + now - 3 * draw.random(), "blocked_s": draw.random()} if draw.random() < 0.7 else {}
        name = draw.choice(NAMES)
        is_back = name == RolledBack.kind
        history.append(rolled_back(now, 4, draw.randrange(4)) if is_back else event(now, name, **fields))
    found = starts(history, lambda before: before - 5 * draw.random())
    end = BEGIN + now + draw.choice([0.0, 7.0])
    spent = time_spent(found, end, goes_on=draw.random() < 0.5)
    assert all(getattr(spent, share) >= 0 for share in SHARES)
    assert 0 <= spent.goodput <= 1
    if found:
        latest = max(end, *(start.begun for start in found), *(start.ended or start.seen for start in found))
        assert spent.total == pytest.approx(latest - found[0].begun)
    else:
        assert spent.total == 0


def test_a_long_history_takes_no_time() -> None:
    history = [*FIRST]
    for step in range(1, 20_000):
        history.append(saved(10 + step, step, 0.1))
        if step % 100 == 0:
            history += [launched(10 + step, step), trains(10.5 + step, step)]
    found = spent(history, 20_010, goes_on=True)
    assert found.setup == pytest.approx(10 + 199 * 0.5)


def test_signs_of_life_are_found_in_a_file_of_any_length(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert last_time(run.metrics, BEGIN) is None
    lines = [json.dumps({"kind": "step", "time": BEGIN + index, "pad": "x" * (index % 300)}) for index in range(5000)]
    run.metrics.write_text("".join(f"{line}\n" for line in lines) + '{"torn": ')
    for at in (0, 1, 17, 2500, 4998, 4999):
        assert last_time(run.metrics, BEGIN + at + 0.5) == BEGIN + at
    assert last_time(run.metrics, BEGIN - 1) is None
    assert last_time(run.metrics, BEGIN + 1e6) == BEGIN + 4999
    history = [launched(0), trains(10), launched(2000, 2), trains(2100, 0)]
    run.metrics.write_text("".join(f"{line}\n" for line in lines[:1500]))
    assert starts_of(run, history)[0].ended == BEGIN + 1499


def test_waiting_for_a_scheduler_is_its_own_share() -> None:
    submitted = event(-50, "submitted", job="41")  # what passes before the first start is nobody's
    stop = [event(40, "preempted", step=30), exited(42, 75), event(45, "requeued", job="41")]
    history = [submitted, *FIRST, *stop]
    assert shares(spent(history, 60, goes_on=True)) == {"setup": 10, "training": 30, "queued": 15, "down": 5}
    history += [launched(100, 2), trains(110, 30)]
    assert shares(spent(history, 120, goes_on=True)) == {"setup": 20, "training": 40, "queued": 55, "down": 5}


def test_a_killed_job_that_waits_again_has_lost_what_it_had_not_saved() -> None:
    history = [*FIRST, saved(30, 20), event(70, "requeued", job="41")]
    assert shares(spent(history, 90, goes_on=True, signs=(50,))) == {
        "setup": 10, "training": 20, "lost": 20, "queued": 20, "down": 20,
    }  # fmt: skip


def test_a_submission_put_on_record_after_its_job_began_is_no_queue() -> None:
    began = event(0, "attempt_launched", attempt=1, start="41_7.0.0")
    history = [began, event(2, "submitted", job="41_7"), trains(10)]
    assert shares(spent(history, 60, goes_on=True)) == {"setup": 10, "training": 50}
