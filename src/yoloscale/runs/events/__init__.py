"""The history of a run: what its lines say (schema.py), where they lie (files.py), and looking in it (history.py)."""

from __future__ import annotations

from yoloscale.runs.events.files import EventTail as EventTail
from yoloscale.runs.events.files import begin as begin
from yoloscale.runs.events.files import contents as contents
from yoloscale.runs.events.files import exist as exist
from yoloscale.runs.events.files import handed_on as handed_on
from yoloscale.runs.events.history import after_attempt as after_attempt
from yoloscale.runs.events.history import append as append
from yoloscale.runs.events.history import history as history
from yoloscale.runs.events.history import in_order as in_order
from yoloscale.runs.events.history import last_attempt as last_attempt
from yoloscale.runs.events.history import line as line
from yoloscale.runs.events.history import note as note
from yoloscale.runs.events.history import of_attempt as of_attempt
from yoloscale.runs.events.history import warn as warn
from yoloscale.runs.events.schema import AttemptLaunched as AttemptLaunched
from yoloscale.runs.events.schema import AttemptStarted as AttemptStarted
from yoloscale.runs.events.schema import Cancelled as Cancelled
from yoloscale.runs.events.schema import CheckpointSaved as CheckpointSaved
from yoloscale.runs.events.schema import Evaluated as Evaluated
from yoloscale.runs.events.schema import Event as Event
from yoloscale.runs.events.schema import Exited as Exited
from yoloscale.runs.events.schema import Failed as Failed
from yoloscale.runs.events.schema import Finished as Finished
from yoloscale.runs.events.schema import LostRank as LostRank
from yoloscale.runs.events.schema import Moved as Moved
from yoloscale.runs.events.schema import Preempted as Preempted
from yoloscale.runs.events.schema import Process as Process
from yoloscale.runs.events.schema import Pruned as Pruned
from yoloscale.runs.events.schema import Regrouped as Regrouped
from yoloscale.runs.events.schema import Remark as Remark
from yoloscale.runs.events.schema import Requeued as Requeued
from yoloscale.runs.events.schema import Rescuing as Rescuing
from yoloscale.runs.events.schema import Restarted as Restarted
from yoloscale.runs.events.schema import RolledBack as RolledBack
from yoloscale.runs.events.schema import Setup as Setup
from yoloscale.runs.events.schema import Submitted as Submitted
from yoloscale.runs.events.schema import Tracked as Tracked
from yoloscale.runs.events.schema import TrainingStarted as TrainingStarted
from yoloscale.runs.events.schema import Warned as Warned
from yoloscale.runs.events.schema import as_record as as_record
from yoloscale.runs.events.schema import attempt_of as attempt_of
from yoloscale.runs.events.schema import job_of as job_of
from yoloscale.runs.events.schema import parse as parse
