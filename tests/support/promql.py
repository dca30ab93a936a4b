"""Reads expressions of PromQL, as far as dashboards and rules of ours use it, and says what they ask for.

https://prometheus.io/docs/prometheus/latest/querying/basics/
"""

import re
from dataclasses import dataclass, field
from typing import Final

TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w]))|(?P<duration>\d+(?:ms|s|m|h|d|w|y))"
    r"|(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)|(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^()\[\]{},=<>]))"
)
AGGREGATIONS: Final = frozenset({"sum", "max", "min", "avg", "count", "topk", "bottomk", "quantile", "stddev"})
RANGE: Final = frozenset({"rate", "irate", "increase", "delta", "max_over_time", "min_over_time", "avg_over_time"})
FUNCTIONS: Final = {"histogram_quantile": 2, "absent": 1, "abs": 1, "ceil": 1, "clamp_min": 2, "time": 0, "vector": 1}
OPERATORS: Final = frozenset({"+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "and", "or", "unless"})


class NotPromQL(Exception):
    """The expression cannot be read."""


@dataclass(slots=True)
class Asked:
    """What a part of an expression asks for."""

    metrics: set[str] = field(default_factory=set[str])
    selected: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Pairs of a metric and a label that it is selected by."""
    grouped: list[tuple[frozenset[str], frozenset[str]]] = field(
        default_factory=list[tuple[frozenset[str], frozenset[str]]]
    )
    """The metrics of an aggregation, and the labels that it keeps, or that a vector is matched on."""
    ranged: bool = False
    """Whether it is a range vector, which only some functions take."""

    def add(self, other: "Asked") -> None:
        """Take over what another part asks for."""
        self.metrics |= other.metrics
        self.selected |= other.selected
        self.grouped += other.grouped


def asked(expression: str) -> Asked:
    """What an expression asks for.

    Raises:
        NotPromQL: it is none, or more than is known here.
    """
    parser = _Parser(_tokens(expression), expression)
    found = parser.expression()
    parser.end()
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at, text = 0, text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise NotPromQL(f"{text!r}: at {text[at : at + 20]!r}")
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        at = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], text: str) -> None:
        self.tokens, self.text, self.at = tokens, text, 0

    def expression(self) -> Asked:
        found = self._operand()
        while self._peek() in OPERATORS:
            self._next()
            labels = self._labels() if self._peek() in {"on", "ignoring"} else None
            right = self._operand()
            if found.ranged or right.ranged:
                self._fail("a range vector as an operand")
            found.add(right)
            if labels is not None:
                found.grouped.append((frozenset(found.metrics), labels))
        return found

    def end(self) -> None:
        if self.at < len(self.tokens):
            self._fail(f"what follows {self._peek()!r}")

    def _operand(self) -> Asked:
        if self._peek() == "-":
            self._next()
        kind, value = self._next()
        if kind == "number":
            return Asked()
        if value == "(":
            found = self.expression()
            self._expect(")")
            return found
        if kind != "name":
            self._fail(f"{value!r} where an operand should be")
        if value in AGGREGATIONS:
            return self._aggregation()
        if self._peek() == "(":
            return self._function(value)
        return self._selector(value)

    def _aggregation(self) -> Asked:
        labels = self._labels() if self._peek() in {"by", "without"} else None
        (found,) = self._arguments(1)
        if self._peek() in {"by", "without"}:
            labels = self._labels()
        if found.ranged:
            self._fail("an aggregation of a range vector")
        if labels is not None:
            found.grouped.append((frozenset(found.metrics), labels))
        return found

    def _function(self, name: str) -> Asked:
        if name not in RANGE and name not in FUNCTIONS:
            self._fail(f"function {name!r}, which is not known")
        parts = self._arguments(1 if name in RANGE else FUNCTIONS[name])
        if any(part.ranged is not (name in RANGE) for part in parts):
            self._fail(f"{name} of the wrong kind of vector")
        found = Asked()
        for part in parts:
            found.add(part)
        return found

    def _arguments(self, count: int) -> list[Asked]:
        found: list[Asked] = []
        self._expect("(")
        while self._peek() != ")":
            found.append(self.expression())
            if self._peek() != ")":
                self._expect(",")
        self._expect(")")
        if len(found) != count:
            self._fail(f"{len(found)} arguments")
        return found

    def _selector(self, metric: str) -> Asked:
        found = Asked({metric})
        if self._peek() == "{":
            self._next()
            while self._peek() != "}":
                found.selected.add((metric, self._next()[1]))
                if self._next()[1] not in {"=", "!=", "=~", "!~"} or self._next()[0] != "text":
                    self._fail("a selector")
                if self._peek() != "}":
                    self._expect(",")
            self._next()
        if self._peek() == "[":
            self._next()
            if self._next()[0] != "duration":
                self._fail("a range")
            self._expect("]")
            found.ranged = True
        return found

    def _labels(self) -> frozenset[str]:
        self._next()
        self._expect("(")
        found: list[str] = []
        while self._peek() != ")":
            kind, name = self._next()
            if kind != "name":
                self._fail(f"label {name!r}")
            found.append(name)
            if self._peek() != ")":
                self._expect(",")
        self._next()
        return frozenset(found)

    def _peek(self) -> str | None:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else None

    def _next(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            self._fail("it ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def _expect(self, sign: str) -> None:
        if self._next()[1] != sign:
            self._fail(f"no {sign!r}")

    def _fail(self, why: str) -> None:
        raise NotPromQL(f"{self.text!r}: {why}")
