"""The outcome of a job for people: the answer, its sources, what is missing."""

from tasks.models import Source
from tasks.results import JobResult
from tasks.states import TaskStatus


def as_text(result: JobResult) -> str:
    """The answer as Markdown; what went wrong when there is none."""
    if result.status is not TaskStatus.COMPLETED or result.answer is None:
        reason = f"{result.error.code}: {result.error.message}" if result.error else "no answer"
        return f"job {result.job_id} {result.status.value}: {reason}"
    parts = [result.answer.strip()]
    if result.sources:
        parts.append("Sources\n" + "\n".join(source_line(source) for source in result.sources))
    if result.missing:
        parts.append("Missing\n" + "\n".join(f"- {one.step}: {one.message}" for one in result.missing))
    return "\n\n".join(parts)


def source_line(source: Source) -> str:
    """One source: number, title, place; for a table its file and the SQL."""
    if source.query is not None:
        return f"[{source.number}] {place(source)}"
    heading = source.heading or source.title
    title = heading if heading.startswith(source.title) else f"{source.title} › {heading}"
    return f"[{source.number}] {title} — {place(source)}"


def place(source: Source) -> str:
    """Where a source stands: file with lines, pages or query."""
    if source.query is not None:
        return f"{source.path}: {' '.join(source.query.split())}"
    if source.line_start is not None:
        end = source.line_start if source.line_end is None else source.line_end
        return f"{source.path}:{source.line_start}-{end}"
    if source.page_start is not None:
        return f"{source.path}, page {source.page_start}" + (
            f"–{source.page_end}" if source.page_end not in {None, source.page_start} else ""
        )
    return source.path


def spent(result: JobResult) -> str:
    """One line on steps, time, tokens and money."""
    begun, ended = result.created_at, result.finished_at
    seconds = f"{(ended - begun).total_seconds():.1f} s" if ended else "running"
    workers = len({step.worker for step in result.steps if step.worker})
    usage = result.usage
    tokens = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return (
        f"{len(result.steps)} steps on {workers} workers, {seconds}, {usage.requests} model calls, "
        f"{usage.tool_calls} tool calls, {tokens:,} + {usage.output_tokens:,} tokens, ${usage.cost_usd:.4f}"
    )
