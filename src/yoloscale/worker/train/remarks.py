"""What was said in the ranks while they were set up, told once for all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.formatting import counted
from yoloscale.yolo.messages import Message

MOST_OF_OTHERS = 8  # remarks that rank 0 does not have; with thousands of ranks there may be as many
_NUMBER = re.compile(r"\d+(\.\d+)?")  # measured figures and the names of nodes differ from rank to rank


def tell(run: RunDirectory, ranks: Ranks, messages: Sequence[Message]) -> None:
    """Collective. Put on record what the ranks said, unless an earlier start of the run has said it."""
    of_all = group.gather_objects((ranks.host, tuple(messages)))
    if not ranks.is_first:
        return
    remarks = (event for event in events.history(run) if isinstance(event, (events.Warned, events.Remark)))
    recorded = {_without_numbers(remark.message) for remark in remarks}
    for remark in merge(of_all):
        if _without_numbers(remark.message) not in recorded:
            events.note(run, remark)


def merge(of_all: Sequence[tuple[str, Sequence[Message]]]) -> list[events.Warned | events.Remark]:
    """What rank 0 said, and after that what only others did, each once. Pure.

    Args:
        of_all: host and messages of every rank, in rank order. Those that differ in their numbers only are one.
    """
    first: dict[str, Message] = {}
    speakers: dict[str, list[int]] = {}
    for rank, (_, messages) in enumerate(of_all):
        for message in messages:
            key = _without_numbers(message.text)
            first.setdefault(key, message)
            speakers.setdefault(key, []).append(rank)
    remarks, left_out = list[events.Warned | events.Remark](), list[int]()  # the first rank of each that is left out
    for key, message in first.items():
        ranks = speakers[key]
        if ranks[0] == 0:
            remarks.append(_remark(message, rank=0))
        elif sum(bool(remark.rank) for remark in remarks) == MOST_OF_OTHERS:
            left_out.append(ranks[0])
        else:
            more = f" and {len(ranks) - 1} more" if len(ranks) > 1 else ""
            who = f"rank {ranks[0]} on {of_all[ranks[0]][0]}{more}"
            remarks.append(_remark(message, rank=ranks[0], who=f"{who}: "))
    if left_out:
        sentence = f"{counted(len(left_out), 'more message')} of other ranks while they were set up"
        remarks.append(events.Warned(message=sentence, rank=left_out[0]))
    return remarks


def _remark(message: Message, *, rank: int, who: str = "") -> events.Warned | events.Remark:
    return (events.Warned if message.is_warning else events.Remark)(message=f"{who}{message.text}", rank=rank)


def _without_numbers(message: str) -> str:
    return _NUMBER.sub("0", message)
