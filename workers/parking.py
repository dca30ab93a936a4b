"""How running code waits for other steps or for people: it stops, its step is parked, and the next attempt runs to the
same place again, where the outcome then is."""

from collections.abc import Sequence
from typing import NoReturn

from tasks.errors import ContractError
from tasks.store.waits import Wanted


class Parked(BaseException):
    """The step is to be parked until all of these have come."""

    def __init__(self, waits: Sequence[Wanted]) -> None:
        super().__init__(", ".join(f"{wait.kind} {wait.key}" for wait in waits))
        self.waits = tuple(waits)


def park(waits: Sequence[Wanted], *, possible: bool) -> NoReturn:
    """Stop here until these have come.

    Raises:
        Parked: always, where steps can be parked.
        ContractError: they cannot be here.
    """
    if not possible:
        raise ContractError("nothing can be waited for here: the step runs without a store")
    raise Parked(waits)
