"""A run that is a point of a search: what it has shown goes to the study after every evaluation, and may end it early.

The study may be slow, damaged or gone: that costs a warning, never the training.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from yoloscale.config.schema import Config
from yoloscale.config.schema.sweep import TrialConfig
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.status import read_result
from yoloscale.study import study as studies
from yoloscale.study.objectives import is_cost, objectives_of

if TYPE_CHECKING:
    import optuna

PATIENCE_S = 45.0  # with a study that does not answer; longer than a lock of a killed process lasts (30 s)
_Result = TypeVar("_Result")


class Trial:
    """The study as one rank sees it; in a run that is no point of a search, nothing is done."""

    def __init__(self, config: Config, run: RunDirectory, ranks: Ranks, patience_s: float = PATIENCE_S) -> None:
        self._trial, self._epochs = config.trial, config.epochs
        self._run, self._is_first, self._patience_s = run, ranks.is_first, patience_s
        self._share_s = config.cluster.timeout_s / 4  # the other ranks wait meanwhile, and must not be taken to hang
        self._study: optuna.Study | None = None
        self._is_given_up = False

    def is_hopeless(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Collective. Report an evaluation after an epoch (from 1); whether all ranks are to end the run here."""
        if self._trial is None or len(objectives_of(self._trial.search)) > 1:
            return False
        answer = self._is_first and not self._is_given_up and self._report(self._trial, epoch, metrics)
        return group.broadcast_object(answer)

    def tell(self) -> None:
        """Tell the study how the run has ended, from its result; on rank 0. What was told before stays as it is."""
        trial = self._trial
        if trial is None or not self._is_first or (result := read_result(self._run)) is None:
            return
        try:
            _within(self._patience_s, lambda: self._tell(trial, result))
        except Exception as error:  # the launcher tells it, or the next one that looks
            self._warn(error)

    def _report(self, trial: TrialConfig, epoch: int, metrics: Mapping[str, float]) -> bool:
        (objective,) = objectives_of(trial.search)
        if is_cost(objective) or objective not in metrics:
            return False
        value = metrics[objective]
        try:
            return _within(
                min(self._patience_s, self._share_s),
                lambda: studies.report(self._opened(trial), trial.number, epoch, value, trial.search),
            )
        except Exception as error:
            self._is_given_up = True
            self._warn(error)
            return False

    def _tell(self, trial: TrialConfig, result: Mapping[str, Any]) -> None:
        if complaint := studies.tell_result(self._opened(trial), trial.number, result, trial.search):
            events.warn(self._run, f"the search cannot use this run: {complaint}")

    def _opened(self, trial: TrialConfig) -> optuna.Study:
        self._run.check()  # the study beside a folder that was lost may be another search's, too
        if self._study is None:
            pruner = studies.pruner_of(trial.search, self._epochs)
            self._study = studies.load(self._run.path / trial.study, pruner)
        return self._study

    def _warn(self, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}" if not isinstance(error, studies.StudyError) else str(error)
        events.warn(self._run, f"the study of the search is not told of this run, which goes on without it: {reason}")


def was_pruned(run: RunDirectory, epochs: int) -> bool:
    """Whether the last epoch that a run trained is the one after which it was found hopeless.

    A start that was killed before it could save has another try at the epoch, and may find otherwise.
    """
    return any(isinstance(event, events.Pruned) and event.epoch == epochs for event in events.history(run))


def _within(patience_s: float, ask: Callable[[], _Result]) -> _Result:
    """What `ask` returns, or raises. Raises TimeoutError if that takes too long; its thread is left to itself."""
    answers, errors = list[_Result](), list[Exception]()

    def work() -> None:
        try:
            answers.append(ask())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="study", daemon=True)
    thread.start()
    thread.join(patience_s)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError(f"no answer within {patience_s:g} s")
    return answers[0]
