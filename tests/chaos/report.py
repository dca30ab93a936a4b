"""What a run leaves for people and for scripts: a page of Markdown, and one line of JSON."""

import json
from pathlib import Path

from tests.chaos.conduct import Run
from tests.chaos.faults import Kind
from tests.chaos.findings import Findings, shown


def summary(run: Run, findings: Findings) -> dict[str, object]:
    """The run in figures."""
    return {
        "jobs": len(run.accepted),
        "steps": findings.steps,
        "kills": len(run.hands.kills),
        "redis_restarts": run.hands.done[Kind.RESTART_REDIS],
        "lost": len(findings.lost),
        "doubled": len(findings.doubled),
        "stuck": len(findings.stuck),
        "rerun_p50_s": findings.median_rerun,
        "rerun_p95_s": findings.rerun(0.95),
        "seed": run.options.seed,
        "wrong": len(findings.wrong),
        "attempts": findings.attempts,
        "begun_in_vain": len(findings.in_vain),
        "reruns": len(findings.reruns_s),
        "statuses": findings.statuses,
        "copies": run.deliveries.copied,
        "dropped": run.deliveries.dropped,
        "reordered": run.deliveries.reordered,
        "flushes": run.deliveries.flushed,
        "faults": {kind.value: count for kind, count in sorted(run.hands.done.items())},
        "lease_s": run.settings.lease_s,
        "settled_s": round(run.settled_s, 1),
    }


def write(path: Path, run: Run, findings: Findings) -> None:
    """Write the page."""
    figures = summary(run, findings)
    rows = [f"| {name} | {json.dumps(value)} |" for name, value in figures.items()]
    lines = [
        f"# Chaos run, seed {run.options.seed}",
        "",
        "All promises were kept." if findings.good else "**Promises were broken.**",
        "",
        "| figure | value |",
        "| --- | --- |",
        *rows,
        "",
    ]
    for name in ("lost", "doubled", "stuck", "wrong"):
        found: list[str] = getattr(findings, name)
        if found:
            lines += [f"## {name}", "", *(f"- {line}" for line in shown(found)), ""]
    if run.hands.unasked:
        lines += ["## Processes that ended by themselves", "", *(f"- {line}" for line in shown(run.hands.unasked)), ""]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))
