"""The first moments of the command: Ctrl-C is heard while modules are still being loaded."""

import subprocess
import sys

import pytest

LOAD = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
sys.argv = ["troupe", "jobs"]
from orchestrator.start import main
main()
"""


@pytest.mark.parametrize(
    "module", ["typer", "tasks.errors", "redis", "pydantic", "orchestrator.cli.jobs", "rich.table"]
)
def test_ctrl_c_while_modules_are_loaded_ends_in_one_line(module: str) -> None:
    words = [sys.executable, "-c", LOAD.format(module=module)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "troupe: interrupted\n")


def test_the_entry_point_loads_next_to_nothing() -> None:
    code = "import sys; before = set(sys.modules); import orchestrator.start; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert {name.split(".")[0] for name in done.stdout.split()} <= {"orchestrator", *sys.stdlib_module_names}
