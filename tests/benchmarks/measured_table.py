"""What a table of measurements has to say beside its figures, and how it says them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median


def load() -> str:
    """The load averages of the last 1, 5 and 15 minutes. Above zero before the start, somebody else is at work."""
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def conditions(load_before: str, **programs: str) -> str:
    """One paragraph: date, processor, cores, load averages, versions. `programs`: versions of others."""
    model = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    versions = {"hf-soup": version("hf-soup"), "torch": version("torch"), "Python": platform.python_version()}
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {model[0] if model else platform.machine()}, {os.cpu_count()} cores, "
        f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB; load average {load_before} before, "
        f"{load()} after; " + ", ".join(f"{name} {number}" for name, number in (versions | programs).items())
    )


def versions_in(environment: Path, *packages: str) -> dict[str, str]:
    """Versions of packages of another Python environment, given by its folder."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    command = [str(environment / "bin" / "python"), "-c", code, *packages]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return dict(zip(packages, printed, strict=True))


def spread(values: Iterable[float], digits: int = 2) -> str:
    """The smallest value, and the median behind it."""
    values = list(values)
    return f"{min(values):.{digits}f} ({median(values):.{digits}f})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tell(text: str) -> None:
    """Progress, which is not part of the result."""
    print(text, file=sys.stderr, flush=True)


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
