"""The text of an answer, made plain before anything is looked for in it: bounded, without thoughts and leaked tokens,
and with one spelling for blanks, digits, dashes, quotation marks and line ends.

What is removed here is never shown to anybody: the answer itself stays in calls.jsonl as it came.
"""

from __future__ import annotations

import html
import re
import unicodedata

HEAD, TAIL = 16_000, 100_000
"""Characters that are kept of a longer answer. An answer of 5 MB is a model in a loop; what it says, it says at an end."""
GAP = "[...]"
WORD = 1_000
"""Characters next to a cut in which the end of a word is looked for."""

_THOUGHT = r"(?:think|thinking|thought|thoughts|scratchpad)"
_THOUGHT_BEGINS = re.compile(rf"[<\[◁]{_THOUGHT}[>\]▷]", re.IGNORECASE)
_THOUGHT_ENDS = re.compile(rf"(?:</|\[/|◁/){_THOUGHT}[>\]▷]", re.IGNORECASE)
_FINAL_CHANNEL = re.compile(r"<\|channel\|>\s*final\s*<\|message\|>", re.IGNORECASE)
_OTHER_CHANNEL = re.compile(r"<\|channel\|>\s*(?:analysis|commentary)\s*<\|message\|>", re.IGNORECASE)
_TURN_BEGINS = re.compile(
    r"^(?:\s*(?:<\|(?:begin_of_text|startoftext|im_start|start|start_header_id|end_header_id|assistant|message)\|>"
    r"|<s>|<bos>|<start_of_turn>)\s*(?:(?:assistant|model)\b)?)+",
    re.IGNORECASE,
)
_TURN_ENDS = re.compile(
    r"<[|｜][a-z▁_ -]{1,40}[|｜]>|</s>|<eos>|<end_of_turn>|<start_of_turn>|\[/?INST\]|^[#* ]{0,5}(?:user|human):",
    re.IGNORECASE | re.MULTILINE,
)

_BREAKING_TAG = re.compile(r"</?(?:br|p|div|li|ul|ol|tr|table|h[1-6]|hr|pre)\b[^<>\n]{0,200}>", re.IGNORECASE)
_LABEL_TAG = re.compile(r"<(probability|forecast|prediction|estimate|answer|final_answer)>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][a-z0-9_]{0,15}(?:\s[^<>\n]{0,200})?/?>", re.IGNORECASE)

_TERMINAL_CODE = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")
_LINE_ENDS = "\r\x0b\x0c\x85\u2028\u2029"
_DOUBLE_QUOTES = "“”„‟«»「」『』＂"
_SINGLE_QUOTES = "‘’‚‛"
_DASHES = "‐‑‒–—―"
_MINUS = "−－﹣"
_PERCENT = "％٪﹪"
_ABOUT = "∼∽～〜≃≅≒"
_KEPT_APART = ("<super>", "<sub>", "<fraction>", "<circle>")
"""Digits of these kinds must not run into the digits before them: 6² is not 62, 5½ not 512."""


def bounded(text: str) -> tuple[str, bool]:
    """The text, or its head and tail without the words that the cuts went through; and whether it was cut."""
    if len(text) <= HEAD + TAIL:
        return text, False
    head, tail = text[:HEAD], text[-TAIL:]
    blank_before = max(head.rfind(blank, HEAD - WORD) for blank in " \n")
    blanks_after = [at for blank in " \n" if (at := tail.find(blank, 0, WORD)) >= 0]
    head = head[:blank_before] if blank_before >= 0 else head
    tail = tail[min(blanks_after, default=0) :]
    return f"{head}\n{GAP}\n{tail}", True


def without_thoughts(text: str) -> tuple[str, str | None]:
    """What the model said, and what it thought aloud, if anything: in tags, or in another channel. Thoughts that were never
    closed leave nothing said after them."""
    if final := _last(_FINAL_CHANNEL, text):
        return text[final.end() :], text[: final.start()]
    if other := _OTHER_CHANNEL.search(text):
        return text[: other.start()], text[other.end() :]
    closed = _last(_THOUGHT_ENDS, text)
    said = text[closed.end() :] if closed else text
    thoughts = text[: closed.start()] if closed else None
    if opened := _THOUGHT_BEGINS.search(said):
        return said[: opened.start()], (thoughts or "") + said[opened.end() :]
    return said, thoughts


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return max(pattern.finditer(text), key=lambda match: match.start(), default=None)


def one_turn(text: str) -> str:
    """Without the tokens around a turn, and without what a model wrote after its turn had ended."""
    text = _TURN_BEGINS.sub("", text.lstrip("\ufeff"), count=1)
    for end in _TURN_ENDS.finditer(text):
        if text[: end.start()].strip():
            return text[: end.start()]
    return _TURN_ENDS.sub("", text)


class _Spelling(dict[int, str]):
    """A table for `str.translate` that works out each character when it first comes."""

    def __missing__(self, code: int) -> str:
        self[code] = plain = _spelled(chr(code))
        return plain


def _spelled(character: str) -> str:
    for group, plain in (
        (_LINE_ENDS, "\n"),
        (_DOUBLE_QUOTES, '"'),
        (_SINGLE_QUOTES, "'"),
        (_DASHES, "–"),
        (_MINUS, "-"),
        (_PERCENT, "%"),
        (_ABOUT, "≈"),
        ("\u066b", "."),
        ("\t", " "),
        ("\n", "\n"),
    ):
        if character in group:
            return plain
    category = unicodedata.category(character)
    if category in ("Cf", "Cc", "Cs") or "\u0300" <= character <= "\u036f" or "\ufe00" <= character <= "\ufe0f":
        return ""
    if category == "Zs" or (category == "So" and character >= "\u2500"):
        return " "
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if unicodedata.decomposition(character).startswith(_KEPT_APART):
        return character
    base = unicodedata.normalize("NFKD", character)
    if base[0].isascii() and len(base) < 8:
        return "".join(part for part in base if not "\u0300" <= part <= "\u036f")
    composed = unicodedata.normalize("NFKC", character)
    return composed if len(composed) < 4 else " "


def plain(text: str) -> str:
    """One spelling for everything that looks alike. Accents are dropped (labels and refusals are matched without them),
    character by character: `unicodedata.normalize` of a whole text takes quadratic time on long runs of accents."""
    text = _LABEL_TAG.sub(r"\n\1: ", html.unescape(_TERMINAL_CODE.sub("", text.replace("\r\n", "\n"))))
    text = _TAG.sub("", _BREAKING_TAG.sub("\n", text.replace("<td>", " | ")))
    return text.translate(_Spelling())
