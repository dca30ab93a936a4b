"""Errors: three families, each with a code, all in the tree at the top of the module."""

import re

import pytest

from tasks import errors
from tasks.errors import ContractError, InvalidPlan, ResultTimeout, StepFailed, TransientError, TroupeError, WorkFailed

ALL = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, TroupeError)]
FAMILIES = (ContractError, TransientError, WorkFailed)


@pytest.mark.parametrize("error", ALL, ids=lambda one: one.__name__)
def test_every_error_belongs_to_one_family(error: type[TroupeError]) -> None:
    assert error is TroupeError or sum(issubclass(error, family) for family in FAMILIES) == 1


def test_every_code_is_given_once_and_has_the_form_of_one() -> None:
    codes = [error.code for error in ALL]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


def test_every_error_stands_in_the_tree_and_the_tree_names_no_other() -> None:
    named = set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", (errors.__doc__ or "").replace("TimeoutError", "")))
    assert named - {"Failure"} == {error.__name__ for error in ALL}


def test_a_timeout_for_a_result_is_pythons_too() -> None:
    assert issubclass(ResultTimeout, TimeoutError)


def test_a_bad_plan_keeps_its_faults_apart() -> None:
    error = InvalidPlan(["steps[0]: a", "steps[1]: b"])
    assert (str(error), error.faults) == ("steps[0]: a; steps[1]: b", ["steps[0]: a", "steps[1]: b"])


def test_only_nonsense_and_silence_are_worth_another_try() -> None:
    worth = [one.__name__ for one in ALL if issubclass(one, StepFailed) and one.retryable]
    assert sorted(worth) == ["IdleTimeout", "InvalidOutput", "ModelNonsense"]
