from __future__ import annotations

from yoloscale.cli import text
from yoloscale.cli.show.event_lines import EventLines
from yoloscale.runs.events import parse


def test_an_epoch_waits_for_its_evaluation_and_no_longer() -> None:
    account = EventLines()
    account.event_lines(
        parse({"event": "training_started", "time": 1.0, "epochs": 2, "steps_per_epoch": 3, "epoch": 1})
    )
    assert account.metric_lines({"kind": "epoch", "epoch": 1, "train/box_loss": 1.0}) == []
    assert account.metric_lines({"kind": "eval", "epoch": 1, "metrics/mAP50(B)": 0.5}) == [
        "epoch 1/2   box 1.000   mAP50 0.500"
    ]
    assert account.metric_lines({"kind": "epoch", "epoch": 2, "train/box_loss": 0.5}) == []
    assert account.event_lines(parse({"event": "finished", "time": 2.0, "epochs": 2})) == [
        "epoch 2/2   box 0.500",
        "finished: 2 epochs",
    ]


def test_without_evaluation_the_next_epoch_lets_the_last_one_go() -> None:
    account = EventLines()
    account.metric_lines({"kind": "epoch", "epoch": 1})
    assert account.metric_lines({"kind": "step", "epoch": 1}) == []
    assert account.metric_lines({"kind": "step", "epoch": 2}) == ["epoch 1/?"]


def test_events_as_sentences() -> None:
    account = EventLines()
    processes = [{"rank": rank, "host": f"node{rank // 2}", "device": "cuda:0"} for rank in range(4)]
    started = {"event": "attempt_started", "time": 1.0, "attempt": 2, "world_size": 4, "processes": processes}
    assert account.event_lines(parse(started)) == ["4 ranks on node0: 2 × cuda, node1: 2 × cuda (attempt 2)"]
    training = {"event": "training_started", "time": 2.0, "epochs": 9, "steps_per_epoch": 3, "epoch": 4, "plan": "P"}
    assert account.event_lines(parse({**training, "images": 48})) == [
        "training: 48 images, 9 epochs of 3 steps, P, from epoch 4"
    ]
    timed = {**training, "epochs": 0, "epoch": 1, "hours": 1.5, "clock_s": 0.0}
    assert EventLines().event_lines(parse(timed)) == ["training: 1.5 hours, in epochs of 3 steps, P"]
    failed = {"event": "failed", "time": 3.0, "rank": 1, "host": "node0", "error": "out of memory"}
    assert account.event_lines(parse(failed)) == ["failed: rank 1 on node0: out of memory"]
    assert account.event_lines(parse({"event": "checkpoint_saved", "time": 4.0})) == []
    again = {"event": "restarted", "time": 5.0, "attempt": 3, "step": 40, "cause": "rank 1 on node0: out of memory"}
    assert account.event_lines(parse({**again, "restarts": 1, "max_restarts": 3})) == [
        "restarting from the checkpoint of step 40 (1 of 3 without progress)"
    ]


def test_masks_keep_their_letter() -> None:
    record = {"metrics/precision(B)": 1.0, "metrics/mAP50(B)": 0.5, "metrics/mAP50(M)": 0.25}
    assert text.metrics(record) == "mAP50 0.500  mAP50(M) 0.250"
    assert text.metrics({"metrics/accuracy_top1": 0.75}) == "accuracy_top1 0.750"


def test_where_the_time_went() -> None:
    time_s = {"setup": 9.0, "training": 81.0, "evaluation": 0.0, "saving": 0.2, "lost": 0.01, "down": 9.79}
    assert (
        text.shares({**time_s, "total": 100.0}) == "training 81 %  setup 9.0 %  saving 0.2 %  lost < 0.1 %  down 9.8 %"
    )
    assert text.shares({}) == ""


def test_an_epoch_tells_the_memory_and_the_use_of_gpus() -> None:
    account = EventLines()
    line = {"kind": "epoch", "epoch": 1, "images_per_s": 640.0, "gpu/memory_gib": 12.34, "gpu/use": 0.87}
    account.metric_lines({**line, "gpu/hottest_rank": 3})
    assert account.flush() == ["epoch 1/?   640.0 images/s   GPU 12.3 GiB 87 %"]
    assert text.gpus({"gpu/memory_gib": 3.0}) == "GPU 3.0 GiB"  # an instance of a GPU has no use
    assert text.gpus({"epoch": 1}) == ""
