"""Commands as a user starts them: real processes in a folder of their own, what they say, and what they leave."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from urllib.request import urlopen

from tests.support.guards import KEPT

T = TypeVar("T")

PAUSE_S: Final = 0.05
START_WITHIN_S: Final = 90.0
"""A whole stack, or a run, on a machine that is busy with other tests and measures coverage."""
COMMAND_WITHIN_S: Final = 40.0
OURS: Final = ("TROUPE_", "ANTHROPIC_", "FLOWER_", "OTEL_")
MARK: Final = "ACCEPTANCE_STAGE"
"""Environment variable by which every process of a stage is known, also one whose parent has died."""


def wait_until(condition: Callable[[], T], within: float = COMMAND_WITHIN_S) -> T:
    """What the condition gives, as soon as that is true; an assertion fails when it never is."""
    end = time.monotonic() + within
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not within {within:g} s; last: {found!r}"
        time.sleep(PAUSE_S)


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The one line on stderr."""
        lines = self.stderr.splitlines()
        assert len(lines) == 1, f"not one line on stderr (code {self.code}):\n{self.stderr}"
        return lines[0]


@dataclass(slots=True)
class Command:
    """A command that runs. What it prints goes to files, so that it never waits for a reader."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def said(self) -> str:
        """What is on its stderr so far."""
        return self.err.read_text(errors="replace")

    def signal(self, *numbers: signal.Signals) -> None:
        """Send signals, one after the other."""
        for number in numbers:
            self.process.send_signal(number)

    def wait(self, within: float = COMMAND_WITHIN_S) -> Done:
        """Wait for its end."""
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within:g} s; stderr: {self.said[-2000:]}") from None
        return Done(code, self.out.read_text(errors="replace"), self.said)

    def end(self) -> None:
        """Make sure that it has ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@dataclass(slots=True)
class Stage:
    """A home, a temporary folder and a working folder, with the environment that commands get there."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict[str, str])
    commands: list[Command] = field(default_factory=list[Command])

    def __post_init__(self) -> None:
        for place in (self.temporary, self.work):
            place.mkdir(parents=True)

    @property
    def home(self) -> Path:
        """TROUPE_HOME; not there before a command makes it."""
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        """TMPDIR."""
        return self.folder / "t"

    @property
    def work(self) -> Path:
        """Where commands are started."""
        return self.folder / "work"

    def environment(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a command: ours without the developer's settings, and no call to a real model."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS) or name == KEPT}
        fixed = {
            "TROUPE_HOME": str(self.home),
            "TROUPE_ALLOW_MODEL_REQUESTS": "false",
            "TMPDIR": str(self.temporary),
            MARK: str(self.folder),
        }
        return {**kept, **fixed, **self.variables, **(variables or {})}

    def start(self, *arguments: str, **variables: str) -> Command:
        """Start `troupe ARGUMENTS…`."""
        return self.start_program([sys.executable, "-m", "orchestrator.cli", *arguments], **variables)

    def start_program(self, words: Sequence[str], **variables: str) -> Command:
        """Start any program."""
        number = len(self.commands)
        out, err = self.folder / f"{number}.out", self.folder / f"{number}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                list(words),
                cwd=self.work,
                env=self.environment(variables),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        command = Command(process, out, err)
        self.commands.append(command)
        return command

    def troupe(self, *arguments: str, within: float = COMMAND_WITHIN_S, **variables: str) -> Done:
        """Run `troupe ARGUMENTS…` to its end."""
        return self.start(*arguments, **variables).wait(within)

    def processes(self) -> dict[int, str]:
        """All living processes of the stage with their command lines, whoever their parent is now."""
        found: dict[int, str] = {}
        for place in Path("/proc").iterdir():
            if place.name.isdecimal():
                try:
                    if self._holds(place):
                        found[int(place.name)] = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
        return found

    def _holds(self, place: Path) -> bool:
        """Whether a process was started with our mark, or works in our folder: Redis writes its title over its mark."""
        marked = f"{MARK}={self.folder}".encode() in (place / "environ").read_bytes().split(b"\0")
        return marked or (place / "cwd").readlink().is_relative_to(self.folder)

    def leavings(self) -> list[str]:
        """What a run must not leave: processes, its folder, sockets."""
        run_folders = [str(path) for path in self.home.glob("run-*")]
        return [*self.processes().values(), *run_folders, *map(str, self.temporary.iterdir())]

    def close(self) -> None:
        """End everything that was started here."""
        for command in self.commands:
            command.end()
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


class Stages:
    """Makes stages in short paths: a Unix socket's path ends after a hundred characters."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Stage] = []

    def new(self, **variables: str) -> Stage:
        """One more stage."""
        self.made.append(Stage(self.folder / f"s{len(self.made)}", dict(variables)))
        return self.made[-1]

    def close(self) -> None:
        """End what runs on any of them."""
        for stage in self.made:
            stage.close()


def copy_actors(stage: Stage) -> None:
    """Put the module of own agents where a stage's commands find it."""
    shutil.copy(Path(__file__).with_name("actors.py"), stage.work / "actors.py")


def get_json(url: str) -> Any:
    """What a local HTTP API answers."""
    with urlopen(url, timeout=10) as answer:  # noqa: S310 - an address that the test made
        return json.load(answer)


def objects(text: str) -> list[dict[str, Any]]:
    """A JSON list of objects."""
    return cast("list[dict[str, Any]]", json.loads(text))
