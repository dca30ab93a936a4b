"""Every key in Redis: one table of names, types, owners and lifetimes.

| key | type | written by | lifetime |
| --- | --- | --- | --- |
| `<p>:{N}:control` | stream, group `orchestrators` | moves | permanent; an entry is deleted once acted on |
| `<p>:{N}:timers` | sorted set: `job` or `job:step` → due, Unix ms | moves | permanent; empty when nothing is open |
| `<p>:{N}:job:finished` | stream of ended jobs, a hint; group `telemetry` | moves | permanent; trimmed |
| `<p>:{N}:job:load` | hash of counters for admission: lua/admission.lua | moves | permanent; tenants at nothing go |
| `<p>:{N}:job:waits` | set of queues that steps wait for | moves | permanent; empty when none waits |
| `<p>:{N}:job:<queue>:line` | sorted set: job → its turn | moves | permanent; empty when none waits |
| `<p>:{N}:job:<id>:wait:<queue>` | list of waiting steps | moves | as the job |
| `<p>:{N}:job:index` | sorted set: job → created, Unix ms | submit, unlist | permanent; pruned past retention |
| `<p>:{N}:job:index:of:<tenant>` | the same of one tenant | submit, unlist | as its last job may be kept |
| `<p>:{N}:job:tenants` | sorted set: tenant → its last job, Unix ms | submit, unlist | permanent; pruned |
| `<p>:{N}:job:dead` | sorted set: `job:step` → given up, Unix ms | give_up, reopen | permanent; pruned past retention |
| `<p>:{N}:job:damaged` | sorted set: timer → put aside, Unix ms | sweep, grants | permanent; trimmed, pruned |
| `<p>:{N}:job:asked` | sorted set: `job:step key` → asked, Unix ms | park, outcome | permanent; answers empty it |
| `<p>:{N}:job:totals` | hash: what the fleet counted since ever: lua/figures.lua | moves | permanent; bounded |
| `<p>:{N}:job:totals:<seconds>:<number>` | hash: the totals when that stretch began | moves | 80 min, 27 h, 7.75 d |
| `<p>:{N}:job:<queue>:present` | sorted set: its ready, dispatched, running steps: figures.lua | moves | permanent |
| `<p>:{N}:job:<id>` | hash: spec, status, counters | moves | deadline + retention, then retention |
| `<p>:{N}:job:<id>:steps` | hash: fields below | moves | as the job |
| `<p>:{N}:job:<id>:specs` | hash: step → its definition | submit, extend | as the job |
| `<p>:{N}:job:<id>:results` | hash: r:, f: and a: fields below | settle, give_up | as the job |
| `<p>:{N}:job:<id>:big` | hash: large payloads, apart: payload.py | submit, settle | as the job |
| `<p>:{N}:job:<id>:waits` | hash: what its parked steps wait for: lua/waits.lua | park, adopt, outcome | as the job |
| `<p>:{N}:job:<id>:board` | stream of what its steps say to each other, ids `<number>-0`; trimmed | post | as the job |
| `<p>:{N}:job:<id>:posts` | hash: what was posted and read: lua/board.lua | post, read_board, park | as the job |
| `<p>:{N}:job:<id>:trace` | stream of its calls, ids `<number>-0`; trimmed | book, free, report, moves | as the job |
| `<p>:{N}:job:<id>:events` | stream, ids `<seq>-0` | moves, report | as the job |
| `<p>:{N}:job:<id>:ledger` | hash: lua/accounts.lua | reserve, book, settle | as the job |
| `<p>:{N}:job:<id>:journal` | hash: lua/accounts.lua | book, seed | as the job; 15 min until that is submitted |
| `<p>:{N}:session:<id>` | hash: lua/sessions.lua | session_write, submit, settle | `session_ttl_s` after its last use |
| `…:messages`, `…:calls` of it | streams, ids `<number>-0`; trimmed | the same | with the hash |
| `…:once:<minute>` of it | hash: token of a write → its reply | session_write | 3 min |
| `<p>:{N}:session:index` | sorted set: session → its end, Unix ms | the same | permanent; pruned past their ends |
| `<p>:{N}:hook:<job>` | hash: who is told of its end: hook_keep.lua | hook_… | as was said; 2 days from an end |
| `<p>:{N}:hooks` | sorted set: job → turn of its hook, Unix ms | hook_… | permanent; deliveries empty it |
| `<p>:{N}:idem:<sha256>` | string: `job fingerprint` | submit, moves | as the job, whose field `idem` names it |
| `<p>:{fleet}:workers`, `…:orchestrators`, `…:tools`, `…:metrics` | hash: process → its word | announce | permanent |
| `…:until` of these | sorted set: process → end, Unix ms | announce | permanent; silent ones go from both |
| `<p>:{fleet}:keys` | hash: id of an API key → its record, with a hash of its secret | access.py | permanent; bounded |
| `<p>:{fleet}:tenants` | hash: tenant → its limits | access.py | permanent; those that operators name |
| `<p>:{fleet}:requests:<tenant>` | list of beginnings, Unix ms | tool_rate | a minute |
| `<p>:{fleet}:spent:<tenant>:<day>` | hash: lua/day.lua | hold_day, settle_day | as long as a job may be kept |
| `<p>:{fleet}:holds` | sorted set: `tenant:job` → looked at, Unix ms | hold_day, due_holds | the same |
| `<p>:{fleet}:audit` | stream of what was done at the doors | audit.py | permanent; trimmed |
| `<p>:{fleet}:audit:<tenant>` | the same with the keys of one tenant | audit.py | 400 days; trimmed |
| `<p>:{fleet}:calls:<seconds>:<number>` | hash: tool calls in a window of time | count_calls | 70 min, 26 h, 7.5 d |
| `<p>:{fleet}:calls:of:<counter>` | string: number of a process's last batch of counts | count_calls | 10 min |
| `<p>:{prefixes}:<digest>:warm` | string: is in the provider's cache | warm | as long as it is there |
| `<p>:{prefixes}:<digest>:lead` | string: token of the call that fetches it | lead | its lease |
| `<p>:{<account>}:limits:<class>` | hash: lua/limit_bucket.lua | limit_book, limit_correct | a day without calls |
| `…:holds` of it | hash: call → what it holds | limit_book, limit_correct | with the hash |
| `…:ends` of it | sorted set: call → end of its hold, Unix ms | limit_book, limit_correct | with the hash |
| `<p>:{<account>}:circuit` | hash: why nobody may call | limit_trip, limit_book, limit_correct | its end + a day |
| `<p>:tool:<name>:rate` | list of beginnings, Unix ms | tool_rate | a minute |

`<p>` is the prefix, `{N}` the partition: the braces make it a hash tag, so each script touches one slot of a cluster.

Fields of `:steps`, each followed by the step's id: s status · a attempt · n failures · x losses · w worker ·
t started · f finished · q dispatched (Unix ms) · k kind · j join · i dependencies · d dependents · r dependencies
not yet ended · o dependencies that succeeded · Q queue · g holds a slot · c token of the claim · y most ms in the
queue · e end of its time there · z most ms of the whole step · T end of it · u attempt numbers that were left out ·
l token of the last report · p parent of a child step, and its wait · b may begin: counted · h held · B dependencies
that ended without success and are not optional · K how many must succeed · O is optional ·
N only decides · J most ms of waiting for them · L that time has passed.
Fields of `:results`: r:<step> result · f:<step> failure · a:<step>:<attempt> record of an ended attempt.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from tasks.ids import JobId, SessionId, partition_of, session_partition

GROUP: Final = "orchestrators"
"""Consumer group of the control streams."""

WORKERS: Final = "workers"
ORCHESTRATORS: Final = "orchestrators"
TOOLS: Final = "tools"
METRICS: Final = "metrics"

PERMANENT: Final = (
    "control",
    "timers",
    "job:index",
    "job:tenants",
    "job:finished",
    "job:dead",
    "job:asked",
    "job:damaged",
    "job:load",
    "job:waits",
    "session:index",
    "hooks",
    "job:totals",
    "line",
    "present",
    "workers",
    "workers:until",
    "orchestrators",
    "orchestrators:until",
    "tools",
    "tools:until",
    "metrics",
    "metrics:until",
    "{fleet}:keys",
    "{fleet}:tenants",
    "{fleet}:audit",
)
"""Ends of the keys that need no TTL: each is emptied by the moves themselves."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Builds key names under one prefix."""

    prefix: str

    def partition(self, number: int) -> str:
        """What all keys of a partition begin with."""
        return f"{self.prefix}:{{{number}}}:"

    def control(self, partition: int) -> str:
        """The partition's control stream."""
        return f"{self.partition(partition)}control"

    def timers(self, partition: int) -> str:
        """The partition's timers."""
        return f"{self.partition(partition)}timers"

    def jobs(self, partition: int) -> str:
        """What the keys of the partition's jobs begin with."""
        return f"{self.partition(partition)}job:"

    def index(self, partition: int) -> str:
        """The partition's jobs by time of creation."""
        return f"{self.jobs(partition)}index"

    def index_of(self, partition: int, tenant: str) -> str:
        """The same for one tenant's."""
        return f"{self.index(partition)}:of:{tenant}"

    def tenants(self, partition: int) -> str:
        """Tenants of the partition's jobs, by the time of the last one."""
        return f"{self.jobs(partition)}tenants"

    def finished(self, partition: int) -> str:
        """The partition's stream of jobs that have ended."""
        return f"{self.jobs(partition)}finished"

    def dead(self, partition: int) -> str:
        """The partition's steps that were given up."""
        return f"{self.jobs(partition)}dead"

    def job(self, job: JobId) -> str:
        """The job's own hash; `:steps`, `:specs`, `:results`, `:events` follow it."""
        return f"{self.jobs(partition_of(job))}{job}"

    def events(self, job: JobId) -> str:
        """The job's event stream."""
        return f"{self.job(job)}:events"

    def totals(self, partition: int) -> str:
        """What the fleet counted in the partition."""
        return f"{self.jobs(partition)}totals"

    def load(self, partition: int) -> str:
        """The partition's counters for admission."""
        return f"{self.jobs(partition)}load"

    def trace(self, job: JobId) -> str:
        """The calls of the job."""
        return f"{self.job(job)}:trace"

    def board(self, job: JobId) -> str:
        """What the job's steps say to each other."""
        return f"{self.job(job)}:board"

    def session(self, session: SessionId) -> str:
        """The session's hash; `:messages` and `:calls` follow it."""
        return f"{self.partition(session_partition(session))}session:{session}"

    def sessions(self, partition: int) -> str:
        """The partition's sessions by the end of their lifetime."""
        return f"{self.partition(partition)}session:index"

    def hook_base(self, partition: int) -> str:
        """What the keys of the partition's hooks begin with; a job id follows."""
        return f"{self.partition(partition)}hook:"

    def hooks(self, partition: int) -> str:
        """The partition's hooks by their next turn."""
        return f"{self.partition(partition)}hooks"

    def idempotency(self, partition: int, key: str) -> str:
        """Where the first job under an idempotency key is remembered."""
        return f"{self.partition(partition)}idem:{hashlib.sha256(key.encode()).hexdigest()}"

    def fleet(self, role: str) -> tuple[str, str]:
        """Announcements of the processes of one role, and when they end."""
        name = f"{self.prefix}:{{fleet}}:{role}"
        return name, f"{name}:until"

    def access(self) -> tuple[str, str]:
        """API keys, and limits of tenants."""
        return f"{self.prefix}:{{fleet}}:keys", f"{self.prefix}:{{fleet}}:tenants"

    def requests(self, tenant: str) -> str:
        """When requests of a tenant came."""
        return f"{self.prefix}:{{fleet}}:requests:{tenant}"

    def days(self, tenant: str) -> str:
        """What the keys of a tenant's days begin with."""
        return f"{self.prefix}:{{fleet}}:spent:{tenant}"

    def holds(self) -> str:
        """What is held from tenants' days."""
        return f"{self.prefix}:{{fleet}}:holds"

    def audit(self, tenant: str | None = None) -> str:
        """What was done at the doors: all of it, or with the keys of one tenant."""
        name = f"{self.prefix}:{{fleet}}:audit"
        return name if tenant is None else f"{name}:{tenant}"

    def calls(self) -> str:
        """What the keys of counted tool calls begin with."""
        return f"{self.prefix}:{{fleet}}:calls"

    def beginning(self, digest: str) -> tuple[str, str]:
        """Whether the beginning of a prompt is in the provider's cache, and who fetches it."""
        name = f"{self.prefix}:{{prefixes}}:{digest}"
        return f"{name}:warm", f"{name}:lead"

    def limits(self, account: str, model_class: str) -> tuple[str, str, str, str]:
        """Buckets of one key and class of models, their holds, the ends of those, and the circuit of the key."""
        bucket = f"{self.prefix}:{{{account}}}:limits:{model_class}"
        return bucket, f"{bucket}:holds", f"{bucket}:ends", self.circuit(account)

    def circuit(self, account: str) -> str:
        """Why nobody may call with a key."""
        return f"{self.prefix}:{{{account}}}:circuit"

    def tool_rate(self, tool: str) -> str:
        """When runs of a tool began."""
        return f"{self.prefix}:tool:{tool}:rate"
