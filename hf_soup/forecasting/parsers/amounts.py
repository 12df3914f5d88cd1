"""How models spell a probability: `65,5 %`, `~65%`, `65.5 percent`, `30–40%`, `70% - 15% = 55%`, and what looks like one.

Only digits are read. Words, odds, ratios, bounds and ranks are not probabilities, and what cannot be one is never repaired.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from hf_soup.forecasting.reading import AnswerForm


class Scale(StrEnum):
    """What a number without a sign counts in."""

    PERCENT = "percent"
    FRACTION = "fraction"


@dataclass(frozen=True)
class Amount:
    """Fractions. `bare`: without a sign between 0 and 1 where percentages were asked for. `closed`: no digit can follow."""

    probability: float
    low: float | None = None
    high: float | None = None
    bare: bool = False
    closed: bool = True
    rest: str = ""


@dataclass(frozen=True)
class Unreadable:
    """There is something in the place of the number that is not one, or not one to be sure of."""

    reason: str
    is_number: bool = True


LENGTH = 400
"""Characters after a label among which the number must stand."""

_NUMBER = r"(?:\d[\d.,]*\d|\d|[.,]\d+)(?:e[-+]?\d{1,3}(?![\d.]))?"
_UNIT = (
    r"\s?-?(?:%|percent(?!il|age)|per[ -]?cent(?!il|age)|pct\b\.?|prozent|pour ?-?cent|por ?ciento|per ?cento|procent)"
)
_ONE = re.compile(rf"(?P<sign>[+–-]?)\s?(?P<number>{_NUMBER})(?P<unit>[\"'`]?{_UNIT})?", re.IGNORECASE)
_PAIR = re.compile(r"[\[(]\s?(\d{1,3}(?:\.\d+)?)\s?(%?)\s?[,;]\s?(\d{1,3}(?:\.\d+)?)\s?(%?)\s?[\])]")
_LEAD = re.compile(r"(?:between|from|zwischen|von|entre|desde|de|tra|介于)\b\s?", re.IGNORECASE)
_TO = re.compile(r"[\"'`]?\s?(?:-|–|~|to\b|bis\b|until\b|through\b|hasta\b|到|至)\s?", re.IGNORECASE)
_AND = re.compile(r"[\"'`]?\s?(?:-|–|&|to\b|and\b|und\b|bis\b|et\b|y\b|a\b|e\b|到|至|和)\s?", re.IGNORECASE)
_RESULT = re.compile(r"=|≈|→|->")
_OPERATOR = re.compile(r"[×*÷^+→]|->|[\d%)]\s?[-–/x]\s?[\d(]")
_BOUND = re.compile(
    r"[<>≤≥≪≫]|(?:(?:less|fewer|more|greater|higher|lower|smaller|larger|rather) than|(?:at|no|not) (?:most|least"
    r"|more than)"
    r"|under|below|over|above|up to|exceed\w*|north of|south of|upwards of|weniger als|unter|uber|moins de|plus de"
    r"|menos de|mas de|maximal|minimal|maximum|minimum|max\.?|min\.?)\b",
    re.IGNORECASE,
)
_APPROXIMATELY = (
    "about|approximately|approx|roughly|around|circa|ca|c|some|somewhere|maybe|perhaps|probably|nearly|almost|close"
    "|near|just"
    "|exactly|precisely|etwa|ungefahr|rund|circa|environ|aproximadamente|alrededor|unos|cerca|quite|very|fairly|highly"
    "|extremely|likely|unlikely|high|low|moderate|moderately|medium|slightly"
)
_WORDS = (
    "a|an|the|my|our|final|is|are|be|of|at|it|it's|its|this|that|i|i'd|i'm|i'll|would|will|say|says|put|puts|set"
    "|give|assign"
    "|estimate|estimated|stands|remains|currently|now|still|overall|therefore|thus|so|answer|probability|chance"
    "|likelihood"
    "|forecast|prediction|yes|percent|per|cent|in|on|to|go|with|settle|best|guess|range|odds"
    "|toward|towards|there|there's|de|la|del|el|p"
)
_IN_WORDS = (
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen"
    "|fourteen|fifteen|sixteen|seventeen"
    "|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|point|and"
)
# The longest first: "it's" before "it".
_BEFORE_A_NUMBER = "|".join(sorted({*f"{_WORDS}|{_IN_WORDS}".split("|")}, key=len, reverse=True))
_FILLER = re.compile(
    rf"\s|[\"'`(\[:=≈~→,|{{]|->|…|\.\.\.|大约|约|为|是|(?<=\w)\s?[–-]\s|(?:{_APPROXIMATELY})\b\.?"
    rf"|(?:{_BEFORE_A_NUMBER})\b-?",
    re.IGNORECASE,
)
_NOT_A_PROBABILITY = re.compile(
    r"\s?(?:‰|‱|per ?mill?e|permille|basis|bps\b|points?\b|pp\b|percentage|percentile|th\b|st\b|nd\b|rd\b|out of"
    r"|von 100|sur 100"
    r"|in \d|in (?:a|ten|one)\b|of \d|to \d|zu \d|a \d|or [~≈]?\d|[:/]\s?\d|[.,] ?\d|times\b|x\b|°|[½¼¾⅓⅔⁄²³])",
    re.IGNORECASE,
)
_ENDS_BARE = re.compile(
    r"\s?(?:$|[.,;!?)\]}\"'`|]+(?:\s|$|[)\]}\"'`|,;])|[([]|[–-]\s|±|\+/?-|(?:that|because|since|as|for|given|or so)\b)"
)
_TURNS = re.compile(
    r"\s?(?:\(?[\"']?(?:no|nein|non)[\"']?(?=\W*$|[),;.])|(?:for|of|on|against|(?:chance|probability"
    r"|likelihood) of) [\"']?no\b"
    r"|(?:that|likely|chance|probability)\b[^.,;]{0,80}(?:\b(?:not|no|never)\b|n't\b)|against\b|or (?:less|more"
    r"|lower|higher|below|above)"
    r"|minimum|maximum|at (?:most|least)|(?:max|min)\b)"
    r"|\s?(?:(?:gdp|cpi|real|annual|economic|price|voter) )?(?:growth|increase|decrease|rise|drop|fall|decline"
    r"|inflation|turnout|share"
    r"|margin|lead|rate|swing|tariff|majority|votes?)\b"
    r"|\s?of (?!(?:a |an |the )?(?:[\"']?yes|this|it\b|event|question|happening|occurring|success))",
    re.IGNORECASE,
)
"""What after a number makes it the complement's, a bound, or a share of something else."""


def read_amount(text: str, form: AnswerForm, scale: Scale | None = None) -> Amount | Unreadable | None:
    """The probability at the beginning of a text, after words that may stand before a number; None where there is no number
    in that place. `scale`: what the label says that it counts in, if anything."""
    long = len(text) > LENGTH
    text = text[:LENGTH]
    at = 0
    while filler := _FILLER.match(text, at):
        if _PAIR.match(text, at):
            break
        at = filler.end()
    if _BOUND.match(text, at):
        return Unreadable("a bound is not a number") if re.search(r"\d", text[at : at + 40]) else None
    asked = Scale.FRACTION if form in (AnswerForm.FRACTION, AnswerForm.JSON) else Scale.PERCENT
    result = _result(text, at)
    if result is not None:
        return read_amount(result, form, scale)
    found = _pair(text, at) or _range(text, at) or _point(text, at)
    if not isinstance(found, _Written):
        return found
    if long and found.end >= LENGTH:
        return Unreadable("the number has no end")
    if _TURNS.match(text, found.end):
        return Unreadable("the complement, a bound, or a share of something else")
    amount = _on_scale(found, asked, scale)
    return replace(amount, closed=found.closed, rest=text[found.end :]) if isinstance(amount, Amount) else amount


@dataclass(frozen=True)
class _Written:
    """Numbers as they are written, one or two, and whether a percent sign belongs to them."""

    numbers: tuple[str, ...]
    percent: bool
    end: int
    closed: bool


def _result(text: str, at: int) -> str | None:
    """What follows the last equals sign of a calculation that begins here."""
    if not _ONE.match(text, at) and not text.startswith("(", max(at - 1, 0)):
        return None
    sentence = re.split(r"[.!?]\s", text[at:], maxsplit=1)[0]
    for sign in reversed(list(_RESULT.finditer(sentence))):
        if _OPERATOR.search(sentence[: sign.end()]) and re.match(
            rf"\s?(?:about|roughly|~|≈)?\s?{_NUMBER}", sentence[sign.end() :]
        ):
            return sentence[sign.end() :]
    return None


def _pair(text: str, at: int) -> _Written | None:
    if pair := _PAIR.match(text, at):
        return _Written((pair[1], pair[3]), bool(pair[2] or pair[4]), pair.end(), True)
    return None


def _range(text: str, at: int) -> _Written | None:
    lead = _LEAD.match(text, at)
    if lead:
        at = lead.end()
        while text[at : at + 1] in tuple("~≈ ([\"'`"):
            at += 1
    first = _ONE.match(text, at)
    if not first or first["sign"] in tuple("-–"):
        return None
    to = (_AND if lead else _TO).match(text, first.end())
    if not to:
        return None
    second = _ONE.match(text, to.end() + len(re.match(r"[~≈ ]*", text[to.end() :])[0]))  # type: ignore[index]
    if not second or second["sign"]:
        return None
    percent = bool(first["unit"] or second["unit"])
    after = text[second.end() :]
    if not second["unit"] and (not _ENDS_BARE.match(after) or not (percent or lead or to[0].strip() in ("-", "–"))):
        return None
    if _NOT_A_PROBABILITY.match(after):
        return None
    return _Written((first["number"], second["number"]), percent, second.end(), bool(second["unit"]) or _closes(after))


def _point(text: str, at: int) -> _Written | Unreadable | None:
    one = _ONE.match(text, at)
    if not one:
        return None
    after = text[one.end() :]
    if one["sign"] in tuple("-–"):
        return Unreadable("negative")
    # After a sign a stroke begins the complement and a superscript a footnote; before one they belong to the number.
    if _NOT_A_PROBABILITY.match(after) and not (one["unit"] and re.match(r"\s?/|[²³]|[.,] ?\d", after)):
        return Unreadable("a rank, a ratio or another unit")
    spread = re.match(r"\s?(?:±|\+/?[-–])", after)
    if not spread and re.match(r"\s?(?:[×*÷^+]|[-–]\s?\d+(?:[.,]\d+)?\s?%)", after):
        return Unreadable("a calculation or a range that does not come out")
    if one["unit"]:
        return _Written((one["number"],), True, one.end(), True)
    if not _ENDS_BARE.match(after):
        return Unreadable("a number of something else")
    percent = bool(spread and "%" in after[:20])
    return _Written((one["number"],), percent, one.end(), _closes(after))


def _closes(after: str) -> bool:
    """Whether what follows a number rules out that more of it was to come."""
    return bool(after) and after not in (".", ",")


def _fraction_of(written: str, exponent: int) -> float | None:
    """None for what is no number, or two: `65.5.2`, `4,500`."""
    digits, _, power = written.lower().partition("e")
    marks = [mark for mark in digits if mark in ".,"]
    if len(marks) > 1 or re.fullmatch(r"[1-9]\d{0,2},\d{3}", digits):
        return None
    return float(f"{digits.replace(',', '.')}e{int(power or 0) + exponent}")


def _on_scale(written: _Written, asked: Scale, named: Scale | None) -> Amount | Unreadable:
    values = [_fraction_of(number, 0) for number in written.numbers]
    shown = " and ".join(number[:20] for number in written.numbers)
    if any(value is None for value in values):
        return Unreadable(f"{shown} is not one number")
    scale = Scale.PERCENT if written.percent else named or asked
    bare = False
    if not written.percent and named is None and asked is Scale.PERCENT:
        largest = max(value for value in values if value is not None)
        if largest == 1 or (0 < largest < 1 and 0 in values):
            return Unreadable(f"{shown} without a sign is a percentage or a fraction")
        if 0 < largest < 1:
            scale, bare = Scale.FRACTION, True
        elif any(0 < value < 1 for value in values if value is not None):
            return Unreadable(f"{shown} without a sign is a percentage or a fraction")
    elif named is Scale.FRACTION and asked is Scale.PERCENT and not written.percent:
        bare = True
    ends = [_fraction_of(number, -2 if scale is Scale.PERCENT else 0) for number in written.numbers]
    fractions = [end for end in ends if end is not None]
    if not all(0 <= end <= 1 for end in fractions):
        return Unreadable(f"{shown} is outside of {'0 to 100 %' if scale is Scale.PERCENT else '0 to 1'}")
    low, high = fractions[0], fractions[-1]
    if low > high:
        return Unreadable("the range is reversed")
    if len(fractions) == 1:
        return Amount(low, bare=bare)
    return Amount((low + high) / 2, low, high, bare)
