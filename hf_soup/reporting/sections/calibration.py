"""Whether correcting the aggregate would pay, and why it was or was not done."""

from __future__ import annotations

from hf_soup.reporting.findings import Findings
from hf_soup.reporting.page import Prose, Section


def calibration(found: Findings) -> Section:
    """Returns what `calibrating` says, and which number it changes: none of those above."""
    lines = found.calibrating.table().splitlines()
    note = (
        "The scores above are those of the aggregate as it is."
        if found.n_scored
        else "It can be tried once enough questions are resolved."
    )
    return Section("calibration", "Calibration", tuple(map(Prose, [" ".join(lines), note])))
