"""Take the pictures of docs/web.md anew: `.venv/bin/python .ci/web_pictures.py`. Wants Debian's chromium."""

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.acceptance.conftest import NOTES, start_fleet  # noqa: E402
from tests.acceptance.stage import Stages, copy_actors  # noqa: E402
from tests.acceptance.test_web_jobs import nap_plan  # noqa: E402
from tests.acceptance.web_fleet import ask, staffed  # noqa: E402
from tests.acceptance.web_scene import Visit, site  # noqa: E402
from tests.support.browser import chromium, find_chromium, tab  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
MAX_BYTES = 200_000
SETTLED_S = 1.0
TASKS = (
    "How long does a refund take, and what does a return need?",
    "Compare refunds, returns and warranties: what does each need, and how long does each take?",
    "What does a warranty claim need?",
)


def main() -> int:
    """Start a fleet, let jobs run, take the pictures; 0 when all are there."""
    program = find_chromium()
    if program is None:
        print("chromium is not installed", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        stages = Stages(Path(folder))
        try:
            stage = stages.new(TROUPE_AGENTS="actors", TROUPE_MODEL="offline")
            stage.variables["NAPS"] = str(stage.folder / "naps.txt")
            copy_actors(stage)
            for name, text in NOTES.items():
                (stage.work / name).write_text(text)
            stage.troupe("kb", "add", *NOTES)
            _, url, _ = start_fleet(stage, "--concurrency", "4", flower=False)
            with site(stage, url) as made, chromium(program) as browser, tab(browser, PICTURES) as page:
                take(Visit(page, made).enter())
            with staffed(stages.new()) as made, chromium(program) as browser, tab(browser, PICTURES) as page:
                for name, text in NOTES.items():
                    (made.stage.work / name).write_text(text)
                made.stage.troupe("kb", "add", *NOTES)
                take_views(Visit(page, made).enter())
        finally:
            stages.close()
    return 0


def take(visit: Visit) -> None:
    """All pictures."""
    troupe = visit.site.troupe
    done = [troupe.submit(task) for task in TASKS]
    for job in done:
        job.wait(60)
    troupe.submit("Write the weekly report.", plan=nap_plan("1 1", "x")).wait(60)
    troupe.submit("Tidy the archive.", plan=nap_plan("90")).cancel()
    troupe.submit("Watch the returns of this week.", plan=nap_plan("0.5", "600", "1"))
    time.sleep(SETTLED_S)
    visit.theme("light")
    snap(visit, "/jobs", "web-jobs", 620, ".job-row a")
    snap(visit, f"/jobs/{done[1].id}", "web-job", 1060)
    visit.theme("dark")
    snap(visit, f"/jobs/{done[1].id}?step=search-1", "web-step", 1060)


def take_views(visit: Visit) -> None:
    """Those of the other views."""
    talk = visit.site.troupe.session("desk-17")
    for text in ("What does a warranty claim need?", TASKS[0]):
        talk.send(text).wait(60)
    for agent, text in (("asker", "Sum up the year."), ("clerk", "Pay order A-1001 back.")):
        ask(visit.site, agent, text)
    visit.theme("light")
    snap(visit, "/approvals", "web-approvals", 800, ".asked")
    snap(visit, "/sessions/desk-17", "web-session", 900, ".message")
    visit.theme("dark")
    snap(visit, "/fleet", "web-fleet", 900, ".tile")


def snap(visit: Visit, path: str, name: str, height: int, shown: str = ".events li") -> None:
    """Go there, and keep what is seen."""
    visit.page.set_viewport_size({"width": 1280, "height": height})
    visit.open(path)
    visit.page.locator(shown).first.wait_for(state="attached")
    time.sleep(SETTLED_S)
    file = visit.tab.picture(name)
    size = file.stat().st_size
    print(f"{file.relative_to(ROOT)}  {size // 1000} kB")
    if size > MAX_BYTES:
        raise SystemExit(f"{file.name} has {size} bytes, more than {MAX_BYTES}")


if __name__ == "__main__":
    sys.exit(main())
