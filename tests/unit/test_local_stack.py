"""A local stack, as far as it needs no server."""

import os
from pathlib import Path

import pytest

from orchestrator.local.children import Children
from orchestrator.local.stack import LocalStack, StackError
from tasks.errors import BadSetting, TransientError


def test_a_stack_for_one_job_has_a_folder_of_its_own_and_leaves_nothing(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path, [["search"]])
    assert stack.folder == tmp_path / f"run-{os.getpid()}"
    stack.folder.mkdir()
    stack.stop()
    stack.stop()
    assert list(tmp_path.iterdir()) == []


def test_a_stack_that_keeps_its_data_comes_back_to_them(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path, [], keep=True)
    stack.folder.mkdir()
    (stack.folder / "data").write_text("x")
    stack.stop()
    assert (LocalStack(tmp_path, [], keep=True).folder / "data").exists()


def test_a_home_that_cannot_be_written_is_named_and_nothing_is_started(tmp_path: Path) -> None:
    home = tmp_path / "file"
    home.write_text("")
    stack = LocalStack(home, [["search"]], redis_url="redis://nowhere")
    with pytest.raises(BadSetting, match=r"TROUPE_HOME: .*file cannot be written: Not a directory"), stack:
        pass
    assert stack.children is None


def test_the_url_is_the_given_one_or_that_of_its_own_redis(tmp_path: Path) -> None:
    assert LocalStack(tmp_path, [], redis_url="redis://h").url == "redis://h"
    assert LocalStack(tmp_path, []).url == ""


def test_a_child_that_is_given_up_fails_the_stack(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path, [])
    stack.check()
    stack.children = Children({}, tmp_path)
    stack.check()
    stack.children.failed = "worker does not start: no such agent"
    with pytest.raises(StackError, match="no such agent"):
        stack.check()
    assert issubclass(StackError, TransientError)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_stack_without_children_ends(tmp_path: Path, at_once: bool) -> None:
    stack = LocalStack(tmp_path, [])
    stack.children = Children({}, tmp_path)
    stack.stop(at_once=at_once)
