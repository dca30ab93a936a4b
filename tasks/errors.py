"""Every error that Troupe raises, by what the caller should do.

TroupeError
├── ContractError                 fix the call; a retry cannot help
│   ├── InvalidId · InvalidTask · InvalidPlan · InvalidTool
│   ├── UnknownJob · UnknownSession · NotDead · NotAsked · NotGenuine
│   ├── UnknownAgent · UnknownModel · UnknownKnowledge · UnknownTool
│   ├── BadSetting · BadDocument · BadTable · BadRecording
│   ├── PayloadTooLarge · IdempotencyConflict · StateConflict
│   ├── SpendLimitReached         carries resets_in where it is known
│   └── IncompatibleVersion · DamagedRecord
├── TransientError                try again later, with backoff
│   ├── StoreUnavailable · BrokerUnavailable
│   │   └── StoreFull             a StoreUnavailable; carries retry_after
│   ├── AttemptOver · BudgetHeld
│   ├── FleetFull                 carries retry_after
│   ├── SessionBusy               carries the job whose turn it is
│   ├── ModelUnavailable          carries retry_after where the provider gave one
│   └── ResultTimeout             also a TimeoutError
└── WorkFailed                    the work was tried and did not succeed: settle and report
    ├── JobFailed · JobCancelled
    └── StepFailed                carries a Failure; its kinds below
        ├── ModelRefused · ModelNonsense · ModelTruncated
        │   └── InvalidOutput     a ModelNonsense; carries the raw text
        ├── DeadlinePassed · QueueTimeout · IdleTimeout · TooManyTurns · LoopStalled
        └── BudgetSpent · ReplayDiverged

Errors do not cross processes, facts do: what a worker stores is a `tasks.models.Failure`.
"""

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.usage import Usage


class TroupeError(Exception):
    """Root of every error that Troupe raises on purpose."""

    code = "error"
    """Stable, machine-readable name; `Failure.code`, the API and `--json` carry it."""


class ContractError(TroupeError):
    """The call was wrong; repeating it unchanged cannot succeed."""

    code = "contract"


class InvalidId(ContractError):
    """A job or task id without the form of one."""

    code = "invalid_id"


class InvalidTask(ContractError):
    """A task that is empty, too long, or not text."""

    code = "invalid_task"


class InvalidPlan(ContractError):
    """A plan that may not run; `faults` names each fault with the path to it."""

    code = "invalid_plan"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class PayloadTooLarge(ContractError):
    """A request or a result of more bytes than are stored; the message says how many there are and may be."""

    code = "payload_too_large"


class InvalidTool(ContractError):
    """A tool definition without a usable name, description or schema."""

    code = "invalid_tool"


class UnknownJob(ContractError):
    """Never submitted here, or past its retention."""

    code = "unknown_job"


class UnknownSession(ContractError):
    """Never begun here, deleted, or unused for longer than sessions are kept."""

    code = "unknown_session"


class StateConflict(ContractError):
    """The session was changed since it was loaded: load it again, and change that."""

    code = "state_conflict"


class NotDead(ContractError):
    """The step was not given up, or its job can no longer be reopened."""

    code = "not_dead"


class NotAsked(ContractError):
    """Nobody waits for this decision: it was never asked for, or it was made before."""

    code = "not_asked"


class NotGenuine(ContractError):
    """What is asked is not signed by this fleet: it was changed in the store, or TROUPE_SECRET is not the workers'."""

    code = "not_genuine"


class UnknownAgent(ContractError):
    """No definition under that name."""

    code = "unknown_agent"


class UnknownModel(ContractError):
    """No such model, or one that may not be used."""

    code = "unknown_model"


class UnknownKnowledge(ContractError):
    """No knowledge base under that name."""

    code = "unknown_knowledge"


class UnknownTool(ContractError):
    """No tool under that name."""

    code = "unknown_tool"


class BadSetting(ContractError):
    """A setting that is missing, malformed or contradicts another."""

    code = "bad_setting"


class BadDocument(ContractError):
    """A document that is missing, unreadable, empty or of an unknown kind."""

    code = "bad_document"


class BadTable(ContractError):
    """A data file that is missing, unreadable or not a table."""

    code = "bad_table"


class BadRecording(ContractError):
    """A recording that cannot be taken, written or read: not ended, damaged, cut, too large, or none at all."""

    code = "bad_recording"


class SpendLimitReached(ContractError):
    """The key's spend limit or credit is used up: every call with it fails until then, and none should be made."""

    code = "spend_limit_reached"

    def __init__(self, message: str, *, resets_in: timedelta | None = None) -> None:
        super().__init__(message)
        self.resets_in = resets_in
        """How long that lasts; None: until somebody does something about it."""


class IdempotencyConflict(ContractError):
    """The idempotency key was used before, for a different job."""

    code = "idempotency_conflict"


class IncompatibleVersion(ContractError):
    """A message or record written by a version that this process cannot read."""

    code = "incompatible_version"


class DamagedRecord(ContractError):
    """What is stored is not what any release writes: something else has changed it, or a part of it is missing."""

    code = "damaged_record"


class TransientError(TroupeError):
    """Nothing wrong with the call; the same call may succeed later."""

    code = "transient"


class StoreUnavailable(TransientError):
    """The store (Redis) gave no answer in time, or refused the connection."""

    code = "store_unavailable"


class StoreFull(StoreUnavailable):
    """The store's memory is full: it takes no new jobs. What was accepted goes on."""

    code = "store_full"

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BrokerUnavailable(TransientError):
    """The broker took no message in time, or refused the connection."""

    code = "broker_unavailable"


class ModelUnavailable(TransientError):
    """The model provider is overloaded, limits us, or cannot be reached."""

    code = "model_unavailable"

    def __init__(
        self,
        message: str,
        *,
        retry_after: timedelta | None = None,
        asked: bool = True,
        limited: bool = False,
        begun: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.asked = asked
        """False: no call was made, so none can have cost anything."""
        self.limited = limited or not asked
        """A rate limit, which is nobody's failure."""
        self.begun = begun
        """An answer was under way, or may have been: the call may be on the bill. Another one is another purchase."""


class BudgetHeld(TransientError):
    """The budget would do, but most of it is held for calls that are under way: ask again when they have ended."""

    code = "budget_held"


class AttemptOver(TransientError):
    """The attempt is no longer this worker's: nothing more is bought for it."""

    code = "attempt_over"


class FleetFull(TransientError):
    """The fleet, or the tenant, has as many open jobs as it may have; nothing was accepted."""

    code = "fleet_full"

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SessionBusy(TransientError):
    """Another request of the session is being answered, and this one was not to wait, or too many wait already."""

    code = "session_busy"

    def __init__(self, message: str, *, job: str) -> None:
        super().__init__(message)
        self.job = job
        """The job whose turn it is."""


class ResultTimeout(TransientError, TimeoutError):
    """The job was not final within the caller's timeout; it goes on."""

    code = "result_timeout"


class WorkFailed(TroupeError):
    """The work was tried and did not succeed."""

    code = "work_failed"


class JobFailed(WorkFailed):
    """The job ended as failed; the message says why."""

    code = "job_failed"


class JobCancelled(WorkFailed):
    """The job was cancelled before it ended."""

    code = "job_cancelled"


class StepFailed(WorkFailed):
    """One attempt at a step ended without a result. Agents raise it, or a kind of it, to say so on purpose."""

    code = "step_failed"
    retryable = False


class ModelRefused(StepFailed):
    """The model declined (`stop_reason` refusal); its partial output is discarded."""

    code = "model_refused"


class ModelNonsense(StepFailed):
    """The model's answer had not the asked-for form, also after its repair turns."""

    code = "model_nonsense"
    retryable = True
    usage: "Usage | None" = None
    """What the answer cost, where that is known and nobody has entered it yet."""


class InvalidOutput(ModelNonsense):
    """The structured answer did not fit its form, also after its repair turns; the message ends with its beginning."""

    code = "invalid_output"

    def __init__(self, message: str, *, raw: str = "") -> None:
        super().__init__(message)
        self.raw = raw
        """What the model last answered, in full."""


class ModelTruncated(StepFailed):
    """The answer was cut by the output or context limit and could not be completed."""

    code = "model_truncated"


class TooManyTurns(StepFailed):
    """The agent loop reached its turn limit without an answer."""

    code = "too_many_turns"


class LoopStalled(StepFailed):
    """The model went on making the same tool calls, also after it was told so."""

    code = "loop_stalled"


class BudgetSpent(StepFailed):
    """What the job or the agent may consume does not suffice for another call."""

    code = "budget_spent"

    def __init__(self, message: str, *, partial: str = "") -> None:
        super().__init__(message)
        self.partial = partial
        """What the model had written of an answer that was cut for it."""


class ReplayDiverged(StepFailed):
    """A replay came to a call that was not recorded so."""

    code = "replay_diverged"


class DeadlinePassed(StepFailed):
    """The attempt, step or job ran out of time."""

    code = "deadline_passed"


class QueueTimeout(StepFailed):
    """No worker took the step within its time in the queue."""

    code = "queue_timeout"


class IdleTimeout(StepFailed):
    """The agent gave no sign of life for too long."""

    code = "idle_timeout"
    retryable = True


def message_of(error: BaseException) -> str:
    """The message of an error, also of a foreign one whose own `__str__` fails."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (foreign code; whoever reports an error must not fall over it)
        return "(its message cannot be shown)"
