"""The summary policy: the most central sentences of what other steps found; for the last step, the whole answer."""

import re
from collections.abc import Collection, Sequence
from typing import Final

from tasks.models import StepKind
from workers.agents.citations import cited
from workers.llm.offline.asking import cut
from workers.llm.offline.choosing import most_central, most_relevant, reading_order
from workers.llm.offline.moves import Answer
from workers.llm.offline.planner import COMPARE_PREFIX, OVERVIEW_MARK
from workers.llm.offline.reading import Brief, Input
from workers.llm.offline.sentences import Sentence, sentences
from workers.llm.offline.terms import key_stems, stems
from workers.llm.offline.titles import title_of, topic_of

DISCLAIMER: Final = "No language model was used: this answer was assembled by rules from the sources."
TOGETHER: Final = "Said of more than one"
MAX_OPENING: Final = 3
MAX_SECTION: Final = 5
MAX_SUMMARY: Final = 6
MAX_TOGETHER: Final = 4
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
    found = [sentences(one.text, origin=place) for place, one in enumerate(inputs)]
    topics = [set(key_stems(topic_of(one.about))) for one in inputs]
    both = [one for group in found for one in group if sum(bool(topic & set(stems(one.text))) for topic in topics) > 1]
    together = reading_order(most_central(both, brief.task, limit=MAX_TOGETHER))
    said = {one.text for one in together}
    parts = [f"### {TOGETHER}\n\n{_bullets(together)}"] if together else []
    for group, one in zip(found, inputs, strict=True):
        left = [sentence for sentence in group if sentence.text not in said]
        chosen = reading_order(most_central(left, f"{topic_of(one.about)} {brief.task}", limit=MAX_SECTION))
        said.update(sentence.text for sentence in chosen)
        body = _bullets(chosen) if group else cut(one.text.strip(), MAX_RAW)
        if body:
            parts.append(f"### {title_of(one.about, one.step or 'Findings')}\n\n{body}")
    lacking = [title_of(one.about, one.step) for one in brief.inputs if not _useful(one)]
    parts.extend(f"### {title}\n\nNothing was found." for title in lacking)
    return "\n\n".join(parts)


def _synthesis(brief: Brief) -> str:
    useful = sorted(filter(_useful, brief.inputs), key=lambda one: not one.about.startswith(COMPARE_PREFIX))
    if not useful:
        return "\n\n".join([_nothing(brief), *_missing(brief), DISCLAIMER])
    opening = _opening(brief, useful)
    said = {one.text for one in opening}
    parts = [" ".join(one.cited_text for one in opening)] if opening else []
    for one in useful:
        title = title_of(one.about, one.step or "Findings")
        body = _section(one, brief.task, said if len(useful) > 1 else ())
        parts.append(f"## {title}\n\n{body}")
        said.update(sentence.text for sentence in sentences(body))
    parts.extend(_missing(brief))
    whole = "\n\n".join(parts)
    return f"{cut_lines(whole, MAX_ANSWER)}\n\n{DISCLAIMER}"


def _opening(brief: Brief, inputs: Sequence[Input]) -> list[Sentence]:
    """Up to four sentences: the best one on each thing that was looked up, and the first number of each analysis."""
    measured = [lead for one in inputs if _is_asked(one) and (lead := _lead(one.text)) is not None]
    measured = measured[: MAX_OPENING - 1]
    parts = [part for one in inputs if not _is_measured(one) for part in _parts(one)]
    best: list[Sentence] = []
    for place, (topic, text) in enumerate(parts):
        found = sentences(text, origin=place)
        best.extend(most_relevant(found, topic, limit=1) or most_central(found, brief.task, limit=1))
    distinct = list({one.text: one for one in reversed(best)}.values())[::-1]
    room = MAX_OPENING - len(measured)
    if len(parts) == 1:
        prose = sentences(parts[0][1])
        distinct = reading_order(
            most_central(prose, f"{parts[0][0]} {brief.task}", limit=room - 1 if len(prose) < 4 else room)
        )
    return [*distinct[: room + 1], *measured]


def _parts(one: Input) -> list[tuple[str, str]]:
    """Topic and text of each part of a result: its sections, or all of it."""
    sections = re.split(r"^#{2,6} +(.+)$", one.text, flags=re.MULTILINE)
    if len(sections) < 3:
        return [(topic_of(one.about), one.text)]
    return [part for part in zip(sections[1::2], sections[2::2], strict=True) if part[0] != TOGETHER]


def _lead(text: str) -> Sentence | None:
    """The first line, when it is a statement and not part of a list or a table."""
    line = text.strip().partition("\n")[0]
    if not line or line[0] in "#|-*" or len(line) > MAX_LEAD:
        return None
    ids = cited(line)
    return Sentence(line.partition(f" [{ids[0]}")[0] if ids else line, tuple(ids))


def _section(one: Input, task: str, said: Collection[str]) -> str:
    text = _DISCLAIMER_LINE.sub("\n", one.text)
    if _STRUCTURED.search(text) or _is_measured(one):
        return _without(_kept(text), said)
    found = sentences(text)
    fresh = [sentence for sentence in found if sentence.text not in said]
    chosen = most_central(fresh if len(fresh) > 1 else found, f"{topic_of(one.about)} {task}", limit=MAX_SECTION)
    return _bullets(reading_order(chosen)) or cut(text.strip(), MAX_RAW)


def _kept(text: str) -> str:
    """The text with its tables and lists; its headings one level below those of the answer."""
    return cut_lines(_HEADING.sub("### ", text.strip()), MAX_KEPT)


def _without(text: str, said: Collection[str]) -> str:
    """The text without list items that the opening has said, as long as others are left."""
    lines = text.splitlines()
    items = [line for line in lines if line.startswith("- ")]
    repeated = {line for line in items if any(line[2:].startswith(one) for one in said)}
    if len(items) - len(repeated) < 2 * len(repeated):
        return text
    return "\n".join(line for line in lines if line not in repeated)


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
