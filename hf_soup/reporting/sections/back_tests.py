"""Which answers are no forecasts, and which scores are not final."""

from __future__ import annotations

from hf_soup.reporting.findings import Findings
from hf_soup.reporting.names import member_name
from hf_soup.reporting.page import Block, Points, Prose, Section, listed, one_line
from hf_soup.scoring.shown_numbers import counted


def back_tests(found: Findings) -> Section:
    """Returns back-tests by member and reason, and what open questions mean for the scores."""
    blocks: list[Block] = []
    if found.run is None:
        blocks.append(
            Prose(
                "These forecasts came ready-made. Whether a model could have known how a question ended, from what it was trained on or "
                "from the web, cannot be told from them: where it could, they are back-tests, and their scores are no forecast of its skill."
            )
        )
    elif found.run.back_tests:
        blocks.append(
            Points(
                tuple(
                    f"{member_name(each.member)}: {counted(len(each.questions), 'answer is a back-test', 'answers are back-tests')} and "
                    f"no forecast, since {each.reason}: {listed([one_line(id, 60) for id in each.questions])}."
                    for each in found.run.back_tests
                )
            )
        )
    else:
        blocks.append(
            Prose(
                "No answer is a back-test: all were given before the questions closed, by models whose knowledge ended before."
            )
        )
    if found.table.n_open and found.n_scored:
        blocks.append(
            Prose(
                f"While {counted(found.table.n_open, 'question is', 'questions are')} open, the scores are interim: whoever looks at them again "
                "later should say so (--looks)."
            )
        )
    return Section("back-tests", "Back-tests and interim scores", tuple(blocks))
