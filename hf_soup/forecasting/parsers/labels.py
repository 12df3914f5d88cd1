"""Where a line says that a number is the forecast: `Probability: …`, `my final estimate is …`, `Wahrscheinlichkeit: …`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hf_soup.forecasting.parsers.amounts import Scale

_LABEL = re.compile(
    r"(?<![\w-])(?:probability|forecast|prediction|estimate|likelihood(?! ratio)|chances?|answer|range|credence"
    r"|wahrscheinlichkeit|vorhersage|prognose|schatzung|antwort|probabilite|prevision|estimation|reponse"
    r"|probabilidad|pronostico|prediccion|estimacion|respuesta|probabilita|previsione|stima|risposta"
    r"|probabilidade|previsao|estimativa|resposta|waarschijnlijkheid|kans|prawdopodobienstwo|sannolikhet|olasılık"
    r"|olasilik"
    r"|вероятность|прогноз|yes(?=\s?[\"'`]?\s?[:=|(–-])|p(?=\s?[=≈:]))(?![\w-])"
    r"|(?<![\w-])p\s?\((?=[^()|]{1,60}\))"
    r"|概率|機率|几率|可能性|预测|預測|答案|確率|予測|확률|예측",
    re.IGNORECASE,
)
_EXTENSION = re.compile(
    r"[\"'`]?\s?(?:(?:range|estimate|forecast|prediction|value|interval|answer|probability|finale?)\b|值|范围|\(|\[)",
    re.IGNORECASE,
)
_BRACKET = re.compile(r"[\"'`]?\s?[(\[]([^()\[\]]{0,80})[)\]]")
_SEPARATOR = re.compile(r"[\"'`)]*\s?(?::|=|≈|→|->|\||[–-]\s|(?=~))")
_VERB = re.compile(
    r"[\"'`)]*\s?(?:(?:is|are|would be|will be|stands at|remains|comes (?:out )?(?:at|to)|of|at|ist|liegt bei"
    r"|betragt|est(?: de)?|es(?: del?)?|e del"
    r")(?![a-z])|为|是|約|约|は約?)",
    re.IGNORECASE,
)
_LATER_SIGN = re.compile(r"[:=≈](?!\d\d\b)")
_LATER_VERB = re.compile(r"\s(?:is|are|would be|stands at)\s(?=\D{0,20}\d)")

FOREIGN = re.compile(
    r"\b(?:start(?:ing)?|initial(?:ly)?|prior|base[- ]?rates?|base|baseline|implied|markets?|crowd(?:'s)?|community"
    r"|comparison"
    r"|median|metaculus|polymarket|manifold|kalshi|exchange|bookmakers?|conditional(?:ly)?|previous|earlier|old"
    r"|experts?"
    r"|historical(?:ly)?|others?|their|his|her|commenters?|naive|raw|unadjusted|working|interim|preliminary|tentative"
    r"|weather|scenario|pessimistic|optimistic|bear|bull|upper|lower|worst|best[- ]case|so far|outside view"
    r"|inside view"
    r"|reference class|stage|no|not|if(?! (?:forced|pressed|pushed|i had|i have|i must))|unless|confidence|joint"
    r"|marginal"
    r"|example|format|template|e\.g|model says|analysts?'?|polls?|survey|basisrate|markt|taux de base|tasa base)\b"
    r"|市场|基础概率|基准|先验|不|未|没有",
    re.IGNORECASE,
)
_CASE = re.compile(
    r"\b(?:if|given|conditional|assuming|provided|supposing|unless|wenn|falls|no|not|nein|non|nicht|never|fail(?:s"
    r"|ing|ure)?"
    r"|complement|against|false|otherwise|so far)\b|n't\b|\||否|不|^\s?of (?:that|this|it|these|those)\s?$",
    re.IGNORECASE,
)
_HARMLESS = re.compile(
    r"\s?(?:(?:of|for|that|fur|dass|de|que)?\s?(?:a |the |an |ein |le |el |un |una )?"
    r"[\"'`]?(?:yes|ja|oui|si|true|event(?: \w+)?|question(?: resolving)?|resolution|it happens|outcome|success"
    r"|final|this (?:question|event|happening|occurring)"
    r"|resol(?:ves?|ution|ving)|forecast|occurrence|happening|occurring)?[\"'`]?"
    r"(?:\s(?:resolv(?:es|ing)|occurring|occurs|happening|happens|resolution|outcome))?"
    r"(?:\s(?:as|to|=|positively)?\s?[\"'`]?(?:yes|true)?[\"'`]?)?)\s?",
    re.IGNORECASE,
)
_OWN = re.compile(
    r"\b(?:my|our|final|overall|mein\w*|endgultig\w*|ma|mon|final\w*|mi)\b|最终|我的|最終", re.IGNORECASE
)
_SENTENCE = re.compile(r"[.!?;]\s|[。；！？]")
_CLAUSE = re.compile(r"[.!?;:]\s|[(\[]|[。；：！？]")

HEAD_WORDS = 6
LABELS_PER_LINE = 40


@dataclass(frozen=True)
class Labelled:
    """`value`: what follows the label. `scale`: what the label says it counts in. `plain`: nothing narrows the label down to
    a case, so that it can only be the event. `first`: it begins the line, after a few words at most. `own`: "my", "final".
    `stated`: by a colon or the like, and not in a sentence with a verb. `quoted`: in quotation marks.
    `of_range`: it says "range" or "interval", and may stand beside a point."""

    value: str
    scale: Scale | None
    plain: bool
    first: bool
    own: bool
    stated: bool
    quoted: bool
    of_range: bool


def labels_of(line: str) -> Iterator[Labelled]:
    """The labels of a line that may name the forecast, from left to right: none of somebody else's, of a condition, of the
    complement, or of an intermediate step."""
    for count, label in enumerate(_LABEL.finditer(line)):
        if count >= LABELS_PER_LINE:
            return
        if (found := _labelled(line, label.start(), label.end())) is not None:
            yield found


def _labelled(line: str, start: int, end: int) -> Labelled | None:
    before = line[max(0, start - 200) : start]
    clause = _CLAUSE.split(before)[-1]
    if FOREIGN.search(_SENTENCE.split(before)[-1]):
        return None
    bracketed = line[start:end].endswith("(")
    narrowed, value, stated = _divided(line[end - bracketed : end + 1500], bracketed)
    if value is None:
        return None
    words = [word for word in re.split(r"\W+", clause) if word]
    word = line[start:end].lower()
    short = word in ("p", "yes", "answer", "range", "chance", "chances")
    first = len(words) <= HEAD_WORDS and (start <= 200 or bool(_CLAUSE.search(before)))
    if (
        short
        and {each.lower() for each in words} - {"the", "so", "thus", "therefore", "hence"}
        and not _OWN.search(clause)
    ):
        return None
    named = narrowed.lower()
    scale = None
    if re.search(r"%|percent|per cent|0 ?(?:-|–|to) ?100\b", named):
        scale = Scale.PERCENT
    elif re.search(r"\b0(?:\.0)? ?(?:-|–|to|and) ?1(?:\.0)?\b|fraction|decimal", named):
        scale = Scale.FRACTION
    harmless = scale is not None or _HARMLESS.fullmatch(narrowed) is not None
    if not harmless and (_CASE.search(narrowed) or word in ("forecast", "prediction", "estimate", "answer")):
        return None
    return Labelled(
        value,
        scale,
        plain=harmless,
        first=first and not (_CLAUSE.search(before) and not _starts_a_line(before)),
        own=bool(_OWN.search(" ".join(words[-3:]))) or bool(re.search("最终|我的|最終", clause)),
        stated=stated,
        quoted=_in_quotation(line, start, end),
        of_range=word == "range" or bool(re.match(r"\s?(?:range|interval)\b", line[end : end + 12], re.IGNORECASE)),
    )


def _starts_a_line(before: str) -> bool:
    """Whether what stands before a label is only a heading such as `Step 3:` or `Final forecast (updated):`."""
    return (
        len(before) <= 60
        and len(re.split(r"\W+", before.strip())) <= HEAD_WORDS
        and not re.search(r"[!?;]|\d%", before)
    )


def _divided(rest: str, bracketed: bool) -> tuple[str, str | None, bool]:
    """What narrows the label down, what follows it, and whether a sign stands between them; None for no value at all."""
    narrowed = ""
    while extension := _EXTENSION.match(rest):
        if bracket := _BRACKET.match(rest):
            if re.match(r"[\[(]\s?~?\d+(?:\.\d+)?\s?%", bracket[0].strip()):
                return narrowed, rest, True
            narrowed += " " + bracket[1]
            rest = rest[bracket.end() :]
        elif bracketed or extension[0].strip()[-1:] in ("(", "["):
            break
        else:
            rest = rest[extension.end() :]
    if separator := _SEPARATOR.match(rest):
        return narrowed, rest[separator.end() :], True
    if re.match(r"[\"'`]?\s?[~≈]?\d", rest) or re.match(r"\s?(?:between|from)\s", rest, re.IGNORECASE):
        return narrowed, rest, True
    if not rest.strip(" .\"'`"):
        return narrowed, "", True
    verb = _VERB.match(rest)
    if (
        verb
        and re.match(r"\D{0,25}\d", rest[verb.end() :])
        and not re.match(r"\s?(?:of|at)\b.{0,60}(?:[:=]|\bis\b)", rest)
    ):
        return narrowed, rest[verb.end() :], False
    for pattern, stated in ((_LATER_SIGN, True), (_LATER_VERB, False)):
        if later := pattern.search(rest[:300]):
            return narrowed + rest[: later.start()], rest[later.end() :], stated
    return narrowed, None, False


def _in_quotation(line: str, start: int, end: int) -> bool:
    """Whether quotation marks or backticks that open before the label close after it."""
    for mark in '"`':
        if line.count(mark, 0, start) % 2 and mark in line[end:]:
            return True
    return line[max(0, start - 1) : start] == "'" and "'" in line[end:]
