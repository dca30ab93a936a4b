"""docs/observability.md says what the source does: every event of a job, every line of the logs."""

import re
from collections import defaultdict
from typing import Final, get_args

import pytest

from tasks.events import FORM, BaseEvent, KnownEvent
from tasks.log_lines import FIRST
from tests.unit.log_calls import LogCall, log_calls
from tests.unit.pages import ROOT

PAGE: Final = (ROOT / "docs" / "observability.md").read_text()
CALLS: Final = log_calls()


def chapter(name: str) -> str:
    """A chapter of the page."""
    return re.split(r"^## ", PAGE.partition(f"\n## {name}\n")[2], flags=re.MULTILINE)[0]


def rows(name: str, header: str) -> dict[str, list[str]]:
    """A table of a chapter: its lines by their first cell."""
    _, found, rest = chapter(name).partition(header + "\n")
    assert found, f"no table {header!r}"
    lines = [line.strip("|").split("|") for line in rest.partition("\n\n")[0].splitlines()[1:] if line.startswith("|")]
    table = {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in lines}
    assert len(table) == len(lines), "a line is there twice"
    return table


def names(cell: str) -> set[str]:
    """The code spans of a cell."""
    return set(re.findall(r"`([^`]+)`", cell))


def test_every_event_is_on_the_page_with_its_fields() -> None:
    written = {kind: names(cells[0]) for kind, cells in rows("Events", "| type | fields | meaning |").items()}
    kinds = get_args(get_args(KnownEvent)[0])
    shared = {*BaseEvent.model_fields, "type"}
    assert written == {str(one.model_fields["type"].default): set(one.model_fields) - shared for one in kinds}


def test_what_all_events_have_is_on_the_page() -> None:
    prose = re.sub(r"^```.*?^```", "", chapter("Events"), flags=re.MULTILINE | re.DOTALL)
    assert {*BaseEvent.model_fields, "type"} <= names(prose)
    assert f"which is {FORM}" in chapter("Events")


def by_event() -> dict[str, list[LogCall]]:
    """All calls, by what they say."""
    found: defaultdict[str, list[LogCall]] = defaultdict(list)
    for call in CALLS:
        found[call.event or ""].append(call)
    return dict(found)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.place)
def test_a_log_call_says_its_event_and_fields_in_its_text(call: LogCall) -> None:
    assert call.event is not None, "the event is a constant, or it cannot be looked for"
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", call.event), "one word for one fact, and its values in fields"
    assert "**" not in call.fields, "fields are named, or they cannot be listed"


def test_every_line_of_the_logs_is_on_the_page_and_no_other() -> None:
    table = rows("Logs", "| event | level | process | fields | meaning |")
    written = {event: (cells[0], cells[1], names(cells[2])) for event, cells in table.items()}
    order = ["debug", "info", "warning", "error", "critical"]
    said = {
        event: (
            ", ".join(sorted({call.level for call in calls}, key=order.index)),
            ", ".join(sorted({call.process for call in calls})),
            {field for call in calls for field in call.fields} - {*FIRST},
        )
        for event, calls in by_event().items()
    }
    assert written == said


def test_the_list_of_the_logs_is_in_order() -> None:
    events = list(rows("Logs", "| event | level | process | fields | meaning |"))
    assert events == sorted(events)


def test_what_all_lines_have_is_on_the_page() -> None:
    assert {*FIRST, "exception"} == {
        name for cell in rows("Logs", "| field | meaning |") for name in cell.split("`, `")
    }


def test_a_worker_writes_one_line_for_a_step_that_goes_well() -> None:
    levels = {event: calls[0].level for event, calls in by_event().items() if event.startswith("attempt_")}
    assert (levels["attempt_started"], levels["attempt_succeeded"]) == ("debug", "info")
