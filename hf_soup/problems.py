"""Problems of an input, collected until all of them are known, so that nobody mends one only to be told the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from hf_soup.errors import InputError, SoupError

T = TypeVar("T")


class Problems:
    """Sentences in the order in which they were found, each once.

    >>> problems = Problems()
    >>> number = problems.of(lambda: 3)
    >>> problems.add("--ridge -1: must be at least 0.")
    >>> problems.found
    ['--ridge -1: must be at least 0.']
    """

    def __init__(self) -> None:
        self.found: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.found)

    def add(self, *problems: str) -> None:
        self.extend(problems)

    def extend(self, problems: Iterable[str]) -> None:
        """Adds those that are not there yet."""
        self.found += [each for each in dict.fromkeys(problems) if each not in self.found]

    def of(self, make: Callable[[], T]) -> T | None:
        """Returns what `make` returns; None where it raises InputError, whose problems are added. Other errors pass through."""
        try:
            return make()
        except InputError as error:
            self.extend(error.problems)
            return None

    @contextmanager
    def first(self) -> Iterator[None]:
        """Within it a failure, as of the Hub, does not hide the problems that are known: they are raised in its place."""
        try:
            yield
        except SoupError:
            self.raise_any()
            raise

    def raise_any(self) -> None:
        """Raises InputError with all of them where there are any."""
        if self.found:
            raise InputError(self.found)
