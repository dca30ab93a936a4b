"""Take each guard away in a copy of the tree and run the tests that should miss it: `python -m tests.mutation`.

Options: parts of guards' names, to try only those; `--write` renews the table in docs/reliability-guards.md.
Takes some minutes; exit code 1 when a guard is missed by no test, or is not where `guards.py` says.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.mutation.guards import GUARDS, Guard

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "reliability-guards.md"
FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S+?)(?:\[.*)?(?: - .*)?$", re.MULTILINE)
AT_ONCE: Final = 2
WITHIN_S: Final = 240
NOBODY: Final = "nobody"


def copy_tree(to: Path) -> None:
    """Copy what is under version control, or would be."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listing.stdout.decode().split("\0"):
        if name.startswith(("tasks/", "orchestrator/", "workers/", "tests/", "pyproject")) and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)


def removed(guard: Guard, tree: Path) -> bool:
    """Take the guard away; False when it is not there, or more than once."""
    path = tree / guard.file
    source = path.read_text()
    if source.count(guard.text) != 1:
        return False
    path.write_text(source.replace(guard.text, guard.without))
    return True


def missed_by(guard: Guard) -> str:
    """The first test that fails without the guard."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        if not removed(guard, tree):
            return "not found"
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:randomly", "--tb=no", *guard.tests]
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        try:
            done = subprocess.run(
                command, cwd=tree, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False
            )
        except subprocess.TimeoutExpired:
            return "the tests hang"
    failed = FAILED.search(done.stdout)
    if failed is not None:
        return failed[1]
    return NOBODY if done.returncode == 0 else f"pytest failed: {done.stdout[-300:]}{done.stderr[-300:]}"


def table(found: dict[Guard, str]) -> str:
    """Guards and tests as Markdown."""
    rows = [f"| {guard.name} | `{guard.file}` | `{test.rpartition('/')[2]}` |" for guard, test in found.items()]
    return "\n".join(["| guard | in | first test that fails without it |", "| --- | --- | --- |", *rows]) + "\n"


def main(arguments: list[str]) -> int:
    """Try guards; 0 when a test misses each."""
    wanted = [part for part in arguments if not part.startswith("--")]
    if {part for part in arguments if part.startswith("--")} - {"--write"}:  # `--help` must not run for an hour
        print(__doc__)
        return 2
    guards = [one for one in GUARDS if not wanted or any(part in one.name for part in wanted)]
    found: dict[Guard, str] = {}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for guard, test in zip(guards, threads.map(missed_by, guards), strict=True):
            found[guard] = test
            print(f"{'survived' if '::' not in test else 'killed':9}{guard.name}: {test}", flush=True)
    if "--write" in arguments:
        before = PAGE.read_text().partition("| guard |")[0]
        PAGE.write_text(before + table(found))
    return 0 if all("::" in test for test in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
