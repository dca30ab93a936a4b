"""The policy for tools that users bring: fill their arguments from the words of the step, call, report what came."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import JsonValue

from workers.llm.base import JsonSchema, ToolSpec
from workers.llm.offline.asking import cut
from workers.llm.offline.moves import Answer, Call, Calls, Move
from workers.llm.offline.reading import Brief
from workers.llm.offline.summary import summarise
from workers.llm.offline.terms import key_stems, stems

MAX_CALLS: Final = 3
MAX_OUTPUT: Final = 2_000

_QUOTED = re.compile(r"[\"“«]([^\"”»\n]{1,200})[\"”»]|(?<!\w)['‘`]([^'’`\n]{1,200})['’`](?!\w)")
_CAPITALS = re.compile(r"\b[A-Z][A-Z0-9.\-]{1,15}\b")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]*\w)")


def use_tools(brief: Brief, tools: Sequence[ToolSpec]) -> Move:
    """Call what can be filled in, once; then answer with what came back. Without a call to make, summarise."""
    if brief.exchanges:
        return Answer("\n\n".join(_report(brief)))
    calls = [call for tool in _by_fit(tools, brief.step) for call in _calls(tool, brief.step)][:MAX_CALLS]
    return Calls(tuple(calls)) if calls else summarise(brief)


def _by_fit(tools: Sequence[ToolSpec], text: str) -> list[ToolSpec]:
    """Tools that share words with the step, the best first; all of them when none does."""
    asked = set(key_stems(text))
    scores = [len(asked & set(stems(f"{tool.name.replace('_', ' ')} {tool.description}"))) for tool in tools]
    order = sorted(range(len(tools)), key=lambda place: (-scores[place], place))
    fitting = [tools[place] for place in order if scores[place]]
    return fitting[:1] if fitting else [tools[place] for place in order]


def _calls(tool: ToolSpec, text: str) -> list[Call]:
    """One call for each candidate of the first argument that has several."""
    schema = tool.input_schema
    properties = schema.get("properties")
    needed = schema.get("required")
    names = [name for name in needed if isinstance(name, str)] if isinstance(needed, list) else []
    if not isinstance(properties, dict):
        return [] if names else [Call(tool.name, {})]
    candidates: dict[str, list[JsonValue]] = {}
    for name in names:
        rule = properties.get(name)
        found = _values(rule if isinstance(rule, dict) else {}, text)
        if not found:
            return []
        candidates[name] = found
    several = next((name for name, found in candidates.items() if len(found) > 1), None)
    count = min(MAX_CALLS, len(candidates[several])) if several else 1
    return [
        Call(tool.name, {name: found[place] if name == several else found[0] for name, found in candidates.items()})
        for place in range(count)
    ]


def _values(rule: JsonSchema, text: str) -> list[JsonValue]:
    """What the text offers for an argument of this kind, the likeliest first; empty when nothing does."""
    choices = rule.get("enum")
    if isinstance(choices, list):
        lowered = text.casefold()
        return [one for one in choices if str(one).casefold() in lowered] or choices[:1]
    kind = rule.get("type")
    if kind in ("integer", "number"):
        numbers = [float(one) for one in _NUMBER.findall(text)]
        return [int(one) for one in numbers if one.is_integer()] if kind == "integer" else [*numbers]
    if kind == "string":
        return _strings(text)
    if kind == "array":
        items = rule.get("items")
        found = _values(items if isinstance(items, dict) else {}, text)
        return [found] if found else []
    return [False] if kind == "boolean" else []


def _strings(text: str) -> list[JsonValue]:
    quoted = [first or second for first, second in _QUOTED.findall(text)]
    found: Iterable[str] = quoted or _CAPITALS.findall(text) or [cut(" ".join(text.split()), MAX_OUTPUT)]
    return [one for one in dict.fromkeys(found) if one]


def _report(brief: Brief) -> Iterable[str]:
    for exchange in brief.exchanges:
        given = ", ".join(f"{name} {_short(value)}" for name, value in exchange.arguments.items())
        call = f"{exchange.tool} for {given}" if given else exchange.tool
        output = cut(exchange.output.strip(), MAX_OUTPUT)
        if exchange.failed:
            yield f"- {call} failed: {output or 'no reason was given'}."
        else:
            yield f"- {call}: {_spoken(exchange.parsed) or output or 'no output'}"


def _spoken(value: JsonValue) -> str:
    """An object of plain values as a sentence; nothing for all else."""
    if not isinstance(value, dict) or not value or any(isinstance(one, dict | list) for one in value.values()):
        return ""
    return ", ".join(f"{name.replace('_', ' ')} {_short(one)}" for name, one in value.items()) + "."


def _short(value: JsonValue) -> str:
    return cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 120)
