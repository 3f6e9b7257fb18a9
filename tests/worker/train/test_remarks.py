"""What the ranks said while they were set up is on record once, however many ranks and starts there were."""

from __future__ import annotations

from pathlib import Path

from tests.run_events import lines_of

from yoloscale.distributed.environment import Ranks
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import Remark, Warned
from yoloscale.worker.train.remarks import MOST_OF_OTHERS, merge, tell
from yoloscale.yolo.messages import Message

SCALE = Message("no model scale passed. Assuming scale='n'.", True)
RATE = Message("optimizer AdamW, lr0 0.002, momentum 0.9 (optimizer=auto)", False)


def test_what_all_say_is_told_once_and_what_one_says_with_its_name() -> None:
    of_all = [(f"node{rank // 8}", [SCALE, RATE]) for rank in range(1024)]
    of_all[513] = ("node64", [SCALE, Message("Cache directory is not writable", True), RATE])
    remarks = merge(of_all)
    assert [(remark.message, remark.rank) for remark in remarks] == [
        (SCALE.text, 0),
        (RATE.text, 0),
        ("rank 513 on node64: Cache directory is not writable", 513),
    ]
    assert [type(remark) for remark in remarks] == [Warned, Remark, Warned]


def test_figures_of_nodes_do_not_make_a_message_another_one() -> None:
    slow = [
        (f"node{rank}", [Message(f"Slow image access (ping: {rank}.25 ms) of node{rank}", False)]) for rank in range(4)
    ]
    assert [remark.message for remark in merge(slow)] == ["Slow image access (ping: 0.25 ms) of node0"]
    alone = [("node0", []), *slow[1:]]
    assert [remark.message for remark in merge(alone)] == [
        "rank 1 on node1 and 2 more: Slow image access (ping: 1.25 ms) of node1"
    ]


def test_a_thousand_different_messages_are_counted() -> None:
    def word(rank: int) -> str:
        return "".join(chr(ord("a") + int(digit)) for digit in str(rank))

    remarks = merge([("node", [Message(f"about {word(rank)}", True)] if rank else []) for rank in range(1000)])
    assert len(remarks) == MOST_OF_OTHERS + 1
    assert remarks[-1].message.startswith(f"{999 - MOST_OF_OTHERS} more messages")
    assert remarks[-1].rank == MOST_OF_OTHERS + 1, "the first of those that are left out: rank 0 says nothing"


def test_a_second_start_that_measures_other_figures_says_it_no_more(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for figure in (0.25, 3.5):
        tell(run, Ranks(), [Message(f"Slow image access (ping: {figure} ms)", False)])
    assert [event["message"] for event in lines_of(run)] == ["Slow image access (ping: 0.25 ms)"]


def test_a_second_start_says_it_no_more(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for heard in ([SCALE, RATE], [SCALE, RATE], [RATE, Message("imgsz=[70] must be multiple of max stride 32", True)]):
        tell(run, Ranks(), heard)
    told = [(event["event"], event["message"], event["rank"]) for event in lines_of(run)]
    assert told == [
        ("warning", SCALE.text, 0),
        ("remark", RATE.text, 0),
        ("warning", "imgsz=[70] must be multiple of max stride 32", 0),
    ]
