"""A trace as one HTML file with graph and timeline, that needs no network and runs nothing of what it shows."""

import base64
import hashlib
import html
import json
import re
from functools import cache
from importlib.resources import files
from typing import Final

from pydantic import JsonValue

from orchestrator.tracing.graph import FAMILIES, ExecutionGraph
from orchestrator.tracing.layout import layout
from tasks.trace import Trace

SCRIPTS: Final = ("model.js", "details.js", "graph.js", "timeline.js", "page.js")
"""In the order in which they run: one script."""
MAX_TITLE_CHARS: Final = 120
_SLOT: Final = re.compile(r"<!--(\w+)-->")
_NOT_IN_SCRIPT: Final = {ord(one): f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}
"""So that no text can end the script element that the data stands in."""


def document(trace: Trace) -> str:
    """The file. What it shows stands in it as data: it is put into the page as text, and a content security policy lets
    no script run and nothing be loaded but what is the page's own."""
    style, script = _part("page.css"), "\n".join(_part(name) for name in SCRIPTS)
    task = " ".join(trace.task.split())
    parts = {
        "policy": (
            f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
            "base-uri 'none'; form-action 'none'"
        ),
        "title": html.escape(f"{task[:MAX_TITLE_CHARS]} · {trace.status}"),
        "style": style,
        "data": json.dumps(_data(trace), ensure_ascii=False, separators=(",", ":")).translate(_NOT_IN_SCRIPT),
        "script": script,
    }
    return _SLOT.sub(lambda slot: parts[slot[1]], _part("page.html"))


def _data(trace: Trace) -> dict[str, JsonValue]:
    """What the page's script reads: the trace, where the nodes of its graph are, and which colour a status has."""
    graph = ExecutionGraph.of(trace)
    places = layout(graph)
    return {
        "trace": trace.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
        "graph": {
            "columns": places.columns,
            "rows": places.rows,
            "nodes": [
                {"span": node.span, "column": place.column, "row": place.row}
                for node in graph.nodes
                for place in (places.places[node.id],)
            ],
            "edges": [
                {
                    "from": edge.source,
                    "to": edge.target,
                    "kind": edge.kind.value,
                    "by": [[place.column, place.row] for place in places.routes.get((edge.source, edge.target), ())],
                }
                for edge in graph.edges
            ],
        },
        "families": dict(FAMILIES),
    }


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


@cache
def _part(name: str) -> str:
    return files("orchestrator.tracing").joinpath("page", name).read_text(encoding="utf-8")
