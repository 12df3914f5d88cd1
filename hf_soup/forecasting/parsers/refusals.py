"""Whether an answer without a probability declines to give one."""

from __future__ import annotations

import re

_DECLINES = re.compile(
    r"\b(?:can(?:no|')t|cannot|can not|couldn't|(?:am |'m )?unable|(?:am |'m )?not (?:able|going to|comfortable"
    r"|permitted|allowed|in a position"
    r"|appropriate|willing|designed|equipped)|won't|will not|refuse|(?:must |have to |will "
    r"|'ll )?(?:respectfully )?decline|do not have the ability|don't have the ability"
    r"|(?:do not|don't|would not|wouldn't) (?:feel comfortable|think it(?: is|'s| would be) (?:appropriate|right)"
    r"|make|give|offer|provide|engage)"
    r"|(?:inappropriate|irresponsible|unethical|against my|outside (?:of )?my|beyond my))\b"
    r"[^.!?\n]{0,80}\b(?:forecast\w*|predict\w*|provid\w+|giv\w+|offer\w*|estimat\w+|speculat\w+|assist\w*|help\w*"
    r"|answer\w*|comply"
    r"|discuss\w*|comment\w*|participat\w+|assign\w*|engag\w+|say|guidelines?|polic\w+|probabilit\w+|respond\w*"
    r"|continue"
    r"|fulfil\w*|number|figure)\b"
    r"|\bi (?:don't|do not) (?:think|believe|feel)(?: that)? (?:i should|it(?: is|'s| would be) (?:responsible"
    r"|appropriate|right|wise|ethical|my place))\b"
    r"[^.!?\n]{0,80}\b(?:number|figure|probability|estimate|forecast|predict\w*|speculat\w*|percentage|odds)\b"
    r"|\b(?:not permitted to|not allowed to|against my (?:guidelines|policies|programming))\b"
    r"|\bwhich i'?m not in a position to\b|\bi (?:must|have to) (?:respectfully )?(?:decline|refuse|pass)\b|\bi(?:'d"
    r"| would) rather not\b"
    r"|\bi(?:'d| would) prefer not to\b|\bi'?m sorry,? but i\b|\b(?:i |must |respectfully )decline\b",
    re.IGNORECASE,
)
_DECLINES_ELSEWHERE = re.compile(
    r"\bkann ich (?:leider )?(?:keine?|nicht)\b|\bich kann (?:leider )?(?:\w+ ){0,4}(?:keine?|nicht)\b"
    r"|\bnicht in der lage\b"
    r"|\bje ne (?:peux|suis|saurais|souhaite) pas\b|\bil (?:m'est|est) impossible de\b|\bje refuse\b"
    r"|\bno puedo\b|\bno me es posible\b|\bno estoy (?:en condiciones|autorizad)\w*|\blo siento\b"
    r"|\bnao posso\b|\bnon posso\b|無法|无法|不能(?:提供|预测|回答|对)|我不会|抱歉|できません|お答えでき|не могу|할 수 없",
    re.IGNORECASE,
)
LENGTH = 20_000
"""Characters at either end in which an answer declines."""


def declines(text: str) -> bool:
    """`text` is plain: of one spelling, without accents."""
    ends = (text[:LENGTH], text[-LENGTH:])
    return any(_DECLINES.search(end) or _DECLINES_ELSEWHERE.search(end) for end in ends)
