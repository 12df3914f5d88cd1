"""What a report consists of, whatever it is written as: sections of prose, lists, tables and figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST_TEXT = 240


@dataclass(frozen=True)
class Prose:
    """One paragraph, plain text: whoever writes it out escapes it."""

    kind: ClassVar[str] = "prose"
    text: str


@dataclass(frozen=True)
class Points:
    """A list, plain texts."""

    kind: ClassVar[str] = "points"
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A table. The first `words` columns are text, the others numbers; the first one is the header of its row, and where it is
    `long` a line of its own on narrow screens.
    """

    kind: ClassVar[str] = "grid"
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    long: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure of `width` × `height` inches, which `draw` draws into an empty one.

    `name`: of its file and in the page. `title`: above it. `description`: what somebody who does not see it is told.
    """

    kind: ClassVar[str] = "picture"
    name: str
    title: str
    description: str
    width: float
    height: float
    draw: Callable[[Figure], None]


Block = Prose | Points | Grid | Picture


@dataclass(frozen=True)
class Section:
    """`name`: its anchor in the page."""

    name: str
    title: str
    blocks: tuple[Block, ...]

    def runs(self) -> list[list[Block]]:
        """The blocks in their order, figures that follow each other in one list: they may stand side by side."""
        found: list[list[Block]] = []
        for block in self.blocks:
            if found and isinstance(block, Picture) and isinstance(found[-1][0], Picture):
                found[-1].append(block)
            else:
                found.append([block])
        return found


@dataclass(frozen=True)
class Page:
    """`headline`: the result in one sentence. `cautions`: what must be known before a number is read."""

    title: str
    headline: str
    cautions: tuple[str, ...]
    sections: tuple[Section, ...]

    def pictures(self) -> list[Picture]:
        return [block for section in self.sections for block in section.blocks if isinstance(block, Picture)]


def one_line(text: str, longest: int = LONGEST_TEXT) -> str:
    """Returns text from a stranger as one line of at most `longest` characters, without control and direction marks.

    >>> one_line("Will it\\n rain?"), one_line("abcdef", 4)
    ('Will it rain?', 'abc…')
    """
    printable = "".join(sign if sign.isprintable() else " " for sign in text[: 4 * longest])
    words = " ".join(printable.split())
    return words if len(words) <= longest else f"{words[: longest - 1].rstrip()}…"


def listed(names: Sequence[str], shown: int = 5) -> str:
    """Returns the first names with commas, and how many more there are.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def capital(text: str, *names: str) -> str:
    """Returns the text with a capital letter where a sentence begins with one of `names`, which are words and no names of models.

    >>> capital("mean and crowd: .1. mean is better. a/mean is not.", "mean")
    'Mean and crowd: .1. Mean is better. a/mean is not.'
    """
    for name in names:
        start = re.compile(rf"(^|\. ){re.escape(name)}(?=[ ,:])")
        text = start.sub(lambda found, name=name: f"{found[1]}{name[:1].upper()}{name[1:]}", text)  # type: ignore[misc]
    return text
