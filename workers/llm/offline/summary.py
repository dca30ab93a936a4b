"""The summary policy: what other steps found, set in order without saying anything twice; at last the whole answer."""

import re
from collections.abc import Sequence
from typing import Final

from tasks.models import StepKind
from workers.agents.citations import cited
from workers.llm.offline.asking import cut
from workers.llm.offline.choosing import most_central, reading_order
from workers.llm.offline.kinship import closeness, telling
from workers.llm.offline.moves import Answer
from workers.llm.offline.planner import COMPARE_PREFIX, OVERVIEW_MARK
from workers.llm.offline.reading import Brief, Input
from workers.llm.offline.retrieval import NOTHING_ON
from workers.llm.offline.sentences import BULLET, Sentence, sentences, statements
from workers.llm.offline.terms import key_stems, stems
from workers.llm.offline.titles import title_of, topic_of

DISCLAIMER: Final = "No language model was used: this answer was assembled by rules from the sources."
TOGETHER: Final = "Said of more than one"
MAX_OPENING: Final = 4
"""Sentences in the opening on what was looked up; figures come on top."""
MAX_FIGURES: Final = 2
MAX_SECTION: Final = 5
MAX_SUMMARY: Final = 6
MAX_TOGETHER: Final = 3
MAX_RAW: Final = 6_000
"""Longest result that is passed on as it is when it holds no sentences to choose from."""
MAX_KEPT: Final = 20_000
"""Longest result with tables or headings that is passed on as it is."""
MAX_LEAD: Final = 400
MAX_ANSWER: Final = 100_000

_EMPTY = re.compile(
    r"^(?:Nothing was found|The documents could not be searched|No sentence in the documents bears|"
    r"The tables could not be read|\(nothing:)"
)
_STRUCTURED = re.compile(r"^(?:#{2,6} |\|)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} +", re.MULTILINE)
_DISCLAIMER_LINE = re.compile(rf"\n*_?{re.escape(DISCLAIMER)}_?\s*")


def summarise(brief: Brief) -> Answer:
    """The answer of a job, or the summary that a step asks for. Every sentence of content stands in the inputs."""
    if brief.kind == StepKind.SYNTHESIS:
        return Answer(_synthesis(brief))
    useful = [one for one in brief.inputs if _useful(one)]
    if len(useful) > 1:
        return Answer(_joined(brief, useful))
    text = useful[0].text if useful else "" if brief.inputs else _material(brief)
    if _STRUCTURED.search(text):
        return Answer(_kept(text))
    chosen = most_central(sentences(text), brief.task, limit=MAX_SUMMARY)
    return Answer(_bullets(reading_order(chosen)) or cut(text.strip(), MAX_RAW) or _nothing(brief))


def _material(brief: Brief) -> str:
    """What to summarise when no step came before: the text that the task itself brings."""
    return brief.step if len(brief.step) > len(brief.task) else brief.task


def _joined(brief: Brief, inputs: Sequence[Input]) -> str:
    """What was found on each side, under a heading each; first what is said of several of them at once."""
    found = [statements(one.text, origin=place) for place, one in enumerate(inputs)]
    together = _together(found, inputs)
    said = {one.text for one in together}
    sections: dict[str, list[str]] = {}
    parts = [f"### {TOGETHER}\n\n{_bullets(together)}"] if together else []
    for group, one in zip(found, inputs, strict=True):
        chosen = [sentence for sentence in group if sentence.text not in said][:MAX_SECTION]
        said.update(sentence.text for sentence in chosen)
        body = _bullets(chosen) if group else cut(one.text.strip(), MAX_RAW)
        if body:
            sections.setdefault(title_of(one.about, one.step or "Findings", within=True), []).append(body)
    parts.extend(f"### {title}\n\n{_under_one(bodies)}" for title, bodies in sections.items())
    lacking = [title_of(one.about, one.step, within=True) for one in brief.inputs if not _useful(one)]
    parts.extend(f"### {title}\n\nNothing was found." for title in lacking)
    return "\n\n".join(parts)


def _together(found: Sequence[Sequence[Sentence]], inputs: Sequence[Input]) -> list[Sentence]:
    """Sentences on more than one subject; under one of the aspects, when there are any. Never the best on a subject."""
    topics = [topic_of(one.about) for one in inputs]
    subjects = [set(key_stems(topic.subject)) for topic in topics]
    aspects = {one for topic in topics for aspect in topic.aspects for one in telling(aspect)}
    chosen: dict[str, Sentence] = {}
    for group in found:
        for sentence in group[1:]:
            held = set(stems(sentence.text))
            on_aspect = not aspects or any(closeness(one, held) for one in aspects)
            if sentence.citations and on_aspect and sum(bool(one & held) for one in subjects) > 1:
                chosen.setdefault(sentence.text, sentence)
    return list(chosen.values())[:MAX_TOGETHER]


def _synthesis(brief: Brief) -> str:
    useful = sorted(filter(_useful, brief.inputs), key=lambda one: not one.about.startswith(COMPARE_PREFIX))
    if not useful:
        return "\n\n".join([_nothing(brief), *_missing(brief), DISCLAIMER])
    opening = _opening(useful)
    said = {one.text for one in opening}
    parts = [" ".join(one.cited_text for one in opening)] if opening else []
    sections: dict[str, list[str]] = {}
    for one in useful:
        body = _section(one, said)
        if body:
            sections.setdefault(title_of(one.about, one.step or "Findings"), []).append(body)
            said.update(sentence.text for sentence in statements(body))
    parts.extend(f"## {title}\n\n{_under_one(bodies)}" for title, bodies in sections.items())
    parts.extend(_missing(brief))
    whole = "\n\n".join(parts)
    return f"{cut_lines(whole, MAX_ANSWER)}\n\n{DISCLAIMER}"


def _under_one(bodies: Sequence[str]) -> str:
    """What stands under one heading, because several steps were about the same; lists go on without a gap."""
    whole = bodies[0]
    for body in bodies[1:]:
        goes_on = whole.rpartition("\n")[2].startswith(BULLET) and body.startswith(BULLET)
        whole += ("\n" if goes_on else "\n\n") + body
    return whole


def _opening(inputs: Sequence[Input]) -> list[Sentence]:
    """What answers the task in short: the first finding on each thing looked up, then the figures asked for."""
    looked_up = [statements(text) for one in inputs if not _is_measured(one) for text in _parts(one)]
    first = [group[:2] if len(looked_up) == 1 and len(group) > 2 else group[:1] for group in looked_up]
    best = [one for group in first for one in group if one.citations or not one.text.startswith(NOTHING_ON)]
    measured = [lead for one in inputs if _is_asked(one) for lead in _leads(one.text)]
    return [*{one.text: one for one in best[:MAX_OPENING]}.values(), *measured[: MAX_FIGURES + 1]]


def _parts(one: Input) -> list[str]:
    """The parts of a result: the text of each of its sections, or all of it."""
    sections = re.split(r"^#{2,6} +(.+)$", one.text, flags=re.MULTILINE)
    if len(sections) < 3:
        return [one.text]
    return [body for name, body in zip(sections[1::2], sections[2::2], strict=True) if name != TOGETHER]


def _leads(text: str) -> list[Sentence]:
    """The statements that introduce the figures: lines that are no part of a list, a table or a heading."""
    found: list[Sentence] = []
    for line in text.splitlines():
        if line and line[0] not in "#|-*" and len(line) <= MAX_LEAD:
            ids = cited(line)
            found.append(Sentence(line.partition(f" [{ids[0]}")[0] if ids else line, tuple(ids)))
    return found[:MAX_FIGURES]


def _section(one: Input, said: set[str]) -> str:
    """The text of a result without what was said before; empty when nothing is left."""
    text = _DISCLAIMER_LINE.sub("\n", one.text)
    if _STRUCTURED.search(text) or _is_measured(one):
        return _without(_kept(text), said)
    found = statements(text)
    fresh = [sentence for sentence in found if sentence.text not in said]
    return _bullets(fresh[:MAX_SECTION]) if found else cut(text.strip(), MAX_RAW)


def _kept(text: str) -> str:
    """The text with its tables and lists; its headings one level below those of the answer."""
    return cut_lines(_HEADING.sub("### ", text.strip()), MAX_KEPT)


def _without(text: str, said: set[str]) -> str:
    """The text without items and lines that were said before, and without headings that have nothing left below."""
    kept: list[str] = []
    for line in text.splitlines():
        bare = [one.text for one in statements(line if line.startswith(BULLET) else f"{BULLET}{line}")]
        if line and line[0] not in "#|" and bare and bare[0] in said:
            continue
        if line.startswith("#"):
            kept = _without_empty_heading(kept)
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(_without_empty_heading(kept)).strip()


def _without_empty_heading(lines: list[str]) -> list[str]:
    filled = [place for place, line in enumerate(lines) if line]
    return lines[: filled[-1]] if filled and lines[filled[-1]].startswith("#") else lines


def _missing(brief: Brief) -> list[str]:
    lines: list[str] = []
    for one in brief.inputs:
        title = title_of(one.about, one.step or "A step")
        reason = " ".join(one.text.removeprefix("(nothing: ").removesuffix(")").split())
        if not one.succeeded:
            lines.append(f"- {title} ({one.status}): {cut(reason, 300) or 'no reason was given'}")
        elif not _useful(one):
            lines.append(f"- {cut(reason, 300) or f'{title}: the result is empty'}")
    return ["## Missing\n\n" + "\n".join(lines)] if lines else []


def _nothing(brief: Brief) -> str:
    if brief.step.startswith(COMPARE_PREFIX):
        return f"Nothing was found about {topic_of(brief.step).subject}."
    return f"Nothing was found that answers: {cut(' '.join(brief.task.split()), 300) or 'an empty task'}"


def _useful(one: Input) -> bool:
    return one.succeeded and bool(one.text.strip()) and not _EMPTY.match(one.text.strip())


def _is_asked(one: Input) -> bool:
    """Whether it holds numbers that the task asked for, rather than an overview of the tables."""
    return _is_measured(one) and OVERVIEW_MARK not in one.about


def _is_measured(one: Input) -> bool:
    return "\n|" in f"\n{one.text}" or one.agent == "analysis"


def _bullets(chosen: Sequence[Sentence]) -> str:
    return "\n".join(f"- {one.cited_text}" for one in chosen)


def cut_lines(text: str, limit: int) -> str:
    """Whole lines of the text, at most `limit` characters; a line that alone is longer is cut at a word."""
    if len(text) <= limit:
        return text
    head, newline, _ = text[:limit].rpartition("\n")
    return head if newline else cut(text, limit)
