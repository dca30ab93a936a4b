"""Take the pictures of docs/flower.md anew: `.venv/bin/python .ci/flower_pictures.py`. Wants Debian's chromium."""

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.acceptance.flower_scene import Scene, flower_scene  # noqa: E402
from tests.acceptance.stage import Stages  # noqa: E402
from tests.support.browser import Tab, chromium, find_chromium, tab  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
MAX_BYTES = 150_000
SIZES = {
    "flower-workers": (1280, 560),
    "flower-tasks": (1500, 600),
    "flower-failed": (1280, 900),
    "flower-worker": (1280, 580),
}
SETTLED_S = 1.0


def main() -> int:
    """Start a stack, let jobs run, take the pictures; 0 when all are there."""
    program = find_chromium()
    if program is None:
        print("chromium is not installed", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        stages = Stages(Path(folder))
        try:
            with (
                flower_scene(stages.new()) as scene,
                chromium(program) as browser,
                tab(browser, PICTURES) as page,
            ):
                take(scene, page)
        finally:
            stages.close()
    return 0


def take(scene: Scene, page: Tab) -> None:
    """All pictures."""
    scene.wait_until_shown()
    planned = scene.troupe.submit("Compare refunds and returns.")
    retried, failed, endless = scene.retried(), scene.failed(), scene.endless()
    for job in (planned, retried, failed):
        job.wait(60)
    scene.task(failed, "fall", 1, "FAILURE")
    scene.task(retried, "trip", 2, "SUCCESS")
    scene.task(endless, "long", 1, "STARTED")
    worker = scene.worker("napper")
    time.sleep(6)  # a heartbeat of every worker
    snap(page, f"{scene.flower}/workers", "flower-workers")
    page.page.goto(f"{scene.flower}/tasks")
    page.page.fill("input[type=search]", str(retried.id))
    page.page.get_by_text("of 4").first.wait_for()
    snap(page, None, "flower-tasks")
    snap(page, f"{scene.flower}/task/{failed.id}:fall:1", "flower-failed")
    snap(page, f"{scene.flower}/worker/{worker}", "flower-worker")
    endless.cancel()


def snap(page: Tab, address: str | None, name: str) -> None:
    """Go there, and keep what is seen."""
    if address is not None:
        page.page.goto(address)
    width, height = SIZES[name]
    page.page.set_viewport_size({"width": width, "height": height})
    page.page.wait_for_load_state("networkidle")
    time.sleep(SETTLED_S)  # tables fade in
    path = page.picture(name)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}  {size // 1000} kB")
    if size > MAX_BYTES:
        raise SystemExit(f"{path.name} has {size} bytes, more than {MAX_BYTES}")


if __name__ == "__main__":
    sys.exit(main())
