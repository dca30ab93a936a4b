"""What a webhook says: that the job has ended, and how. The answer itself is not sent: who may read it asks for it."""

import json

from pydantic import JsonValue

from tasks.redaction import redact_text
from tasks.store.snapshot import JobRecord

MAX_REASON_CHARS = 500


def message_of(record: JobRecord) -> bytes:
    """The body, as JSON. A try says the same as the one before."""
    failure = record.failure
    error: JsonValue = None
    if failure is not None:
        reason = redact_text(failure.message)[:MAX_REASON_CHARS]
        error = {"code": failure.code, "message": reason, "retryable": failure.retryable}
    said: dict[str, JsonValue] = {
        "type": f"job.{record.status.value}",
        "job_id": record.spec.id,
        "status": record.status.value,
        "tenant": record.spec.tenant,
        "session": record.spec.session,
        "created_at": record.created_at.isoformat(),
        "finished_at": None if record.finished_at is None else record.finished_at.isoformat(),
        "error": error,
    }
    return json.dumps(said, ensure_ascii=True).encode()
