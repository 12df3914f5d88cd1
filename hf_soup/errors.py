"""Errors that a user can cause or meet. Each message says what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class SoupError(Exception):
    """Something failed while running. The command line exits with `exit_code`."""

    exit_code = 1


class InputError(SoupError):
    """The input is wrong. `problems` holds every problem that was found, one sentence each."""

    exit_code = 2

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class NonFiniteWeights(SoupError):
    """NaN or infinity was met in a tensor of an ingredient, or arose when the result was cast."""


class HubError(SoupError):
    """The Hub answered with an error while work was going on; what was done is kept, and the command can be repeated."""
