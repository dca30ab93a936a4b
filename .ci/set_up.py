"""Make `.venv` hold what the lock says: `python .ci/set_up.py runtime|dev`. Standard library only.

Does nothing when the environment was made from the same pyproject.toml and lock. Any Python from 3.11 on can run it.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCKS = {"runtime": "requirements.lock", "dev": "requirements-dev.lock"}
OLDEST = (3, 11)


def main() -> int:
    """Set up the kind of environment that the argument names; 0 when it stands."""
    kind = sys.argv[1] if len(sys.argv) > 1 else ""
    if kind not in LOCKS:
        print(f"set-up: expected one of {', '.join(LOCKS)}, not {kind!r}", file=sys.stderr)
        return 2
    if sys.version_info < OLDEST:
        print(f"set-up: Python 3.11 or newer is needed; {sys.executable} is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    with (ROOT / "pyproject.toml").open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two targets at once would write one environment
        if stands(kind):
            return 0
        return build(kind)


def stands(kind: str) -> bool:
    """Whether the environment serves: the dev one has all that the runtime one has."""
    wanted = {name: fingerprint(name) for name in LOCKS}
    return any(read_stamp(name) == wanted[name] for name in {kind, "dev"})


def build(kind: str) -> int:
    """Make or renew the environment. pip's own messages are shown only when it fails."""
    began = time.monotonic()
    print(f"set-up: installing {LOCKS[kind]} into .venv (once)", file=sys.stderr, flush=True)
    for name in LOCKS:
        stamp(name).unlink(missing_ok=True)
    try:
        if not python().exists():
            make_environment()
        pip("install", "--require-hashes", "--requirement", str(ROOT / LOCKS[kind]))
        pip("install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    except subprocess.CalledProcessError as error:
        print(f"{error.stdout or ''}\nset-up: failed; see pip's message above", file=sys.stderr)
        return 1
    stamp(kind).write_text(fingerprint(kind))
    print(f"set-up: done in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


def make_environment() -> None:
    """Create `.venv`: without pip where the outer pip can fill it, which is quicker and needs no ensurepip."""
    extra = ["--without-pip"] if has_outer_pip() else []
    run(sys.executable, "-m", "venv", *extra, str(VENV))


def has_outer_pip() -> bool:
    """Whether this Python's pip can install into another environment (`--python`, since pip 22.3)."""
    probe = [sys.executable, "-m", "pip", "--python", sys.executable, "--version"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def pip(*arguments: str) -> None:
    """Run pip on the environment: its own where it has one, else the outer one."""
    inner = subprocess.run([str(python()), "-c", "import pip"], capture_output=True, check=False).returncode == 0
    command = [str(python()), "-m", "pip"] if inner else [sys.executable, "-m", "pip", "--python", str(python())]
    run(*command, "--disable-pip-version-check", "--no-input", *arguments, "--quiet")


def run(*command: str) -> None:
    """Run a command; raises `CalledProcessError` with all that it printed."""
    subprocess.run(
        command, check=True, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def python() -> Path:
    """The environment's own Python."""
    return VENV / "bin" / "python"


def stamp(kind: str) -> Path:
    """The file that says what the environment was made from."""
    return VENV / f".set-up-{kind}"


def read_stamp(kind: str) -> str:
    """What the environment was made from; empty when it was not, or when its Python is gone."""
    path = stamp(kind)
    return path.read_text() if path.exists() and os.access(python(), os.X_OK) else ""


def fingerprint(kind: str) -> str:
    """A digest of the files that decide what is installed, and of where: a moved clone has a broken environment."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in ("pyproject.toml", LOCKS[kind]):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
