"""Prompts: what is asked, what is refused, and that nothing in a question gets out of its fence."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hf_soup.errors import InputError
from hf_soup.forecasting.fence import NOTE, fenced
from hf_soup.forecasting.prompt import BUILT_IN, Prompt, load_prompt, re_ask
from hf_soup.forecasting.question import Question
from hf_soup.forecasting.reading import AnswerForm

BARE = Question("q", "Will it rain?")
FULL = Question(
    "q",
    "Will it rain?",
    background="It is wet.",
    resolution_criteria="A gauge.",
    open_date=datetime(2026, 1, 5, tzinfo=UTC),
    close_date=datetime(2026, 2, 1, 23, 59, 59, tzinfo=UTC),
    resolution_date=datetime(2026, 1, 9, tzinfo=UTC),
    crowd=0.375,
    topic="weather",
    source="nobody-else",
)
HEAD = "---\nform: percent\n---\n"


def _file(tmp_path: Path, text: str, name: str = "own.md") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def _problems(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        load_prompt(_file(tmp_path, text))
    assert all(problem.startswith("The prompt own.md: ") for problem in caught.value.problems)
    return caught.value.problems


def _text(prompt: Prompt, question: Question) -> str:
    (message,) = prompt.first(question)
    assert message["role"] == "user"
    return message["content"]


def test_the_built_in_prompts_are_those_that_are_promised() -> None:
    assert set(BUILT_IN) == {"superforecaster", "interval", "update", "plain", "base_rate", "negated", "json"}
    forms = {name: load_prompt(name).form.value for name in BUILT_IN}
    assert forms == dict.fromkeys(BUILT_IN, "percent") | {"interval": "interval", "update": "interval", "json": "json"}
    assert [name for name in BUILT_IN if load_prompt(name).negated] == ["negated"]
    assert [name for name in BUILT_IN if len(load_prompt(name).turns) == 2] == ["update"]
    assert len({load_prompt(name).digest for name in BUILT_IN}) == len(BUILT_IN)
    assert all(load_prompt(name).about for name in BUILT_IN)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_prompt_shows_what_is_known_and_leaves_no_empty_headings(name: str) -> None:
    bare, full = (_text(load_prompt(name), question) for question in (BARE, FULL))
    assert bare.startswith(NOTE)
    assert "```question\nWill it rain?\n```" in bare
    assert "Background" not in bare
    assert "resolved:" not in bare
    assert not re.search(r"opened on|closes on", bare)
    assert not re.search(r"\n\n\n|\{\{|\{%|None", bare + full)
    for part in (
        "```background\nIt is wet.\n```",
        "```resolution_criteria\nA gauge.\n```",
        "2026-01-05",
        "2026-02-01",
    ):
        assert part in full
    # The crowd would make a forecast a copy, the day of resolution tells how it ended, and today asks everything anew.
    assert "37.5" not in full
    assert "2026-01-09" not in full
    assert f"{datetime.now(UTC):%Y-%m-%d}" not in full


LAST_LINES = {
    AnswerForm.PERCENT: "Probability: ZZ.ZZ%",
    AnswerForm.FRACTION: "Probability: 0.ZZZZ",
    AnswerForm.INTERVAL: "My Prediction: Between XX.XX% and YY.YY%",
    AnswerForm.JSON: '{"probability": 0.ZZZZ}',
}


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_prompt_ends_with_the_line_that_it_asks_for(name: str) -> None:
    prompt = load_prompt(name)
    assert _text(prompt, FULL).endswith(f":\n\n{LAST_LINES[prompt.form]}")


@pytest.mark.parametrize("form", AnswerForm)
def test_the_re_ask_is_for_the_same_line_alone(form: AnswerForm) -> None:
    assert re_ask(form).endswith(f":\n\n{LAST_LINES[form]}")
    assert "nothing else" in re_ask(form)


def test_study_1_and_2_have_the_elements_that_the_paper_names() -> None:
    one, two = _text(load_prompt("superforecaster"), FULL), _text(load_prompt("interval"), FULL)
    for element in (
        "superforecaster",
        "for the event and what speaks against",
        "Comparison classes",
        "base rate",
        "past events",
        "perspectives",
        "step by step",
    ):
        assert element in one
    for element in (
        "superforecaster",
        "Brier score",
        "Calibration",
        "Resolution",
        "reference classes",
        "ten commandments",
        "Tetlock",
        "balance",
    ):
        assert element in two
    assert re.findall(r"^(\d+)\. ", two, re.MULTILINE) == [str(number) for number in range(1, 11)]


def test_the_second_turn_shows_the_crowd_after_the_first_answer() -> None:
    prompt = load_prompt("update")
    first = prompt.first(FULL)
    assert first == load_prompt("interval").first(FULL)
    messages = prompt.second(FULL, first, "My Prediction: Between 10% and 20%")
    assert messages is not None
    assert messages[:1] == first
    assert messages[1] == {"role": "assistant", "content": "My Prediction: Between 10% and 20%"}
    assert messages[2]["role"] == "user"
    assert "37.50%" in messages[2]["content"]
    assert messages[2]["content"].endswith(LAST_LINES[AnswerForm.INTERVAL])
    assert (prompt.shows_crowd(0), prompt.shows_crowd(1)) == (False, True)


def test_there_is_no_second_turn_without_a_crowd_or_of_another_prompt() -> None:
    update, plain = load_prompt("update"), load_prompt("plain")
    assert update.second(BARE, update.first(BARE), "x") is None
    assert plain.second(FULL, plain.first(FULL), "x") is None
    some = [BARE, FULL, replace(BARE, id="r")]
    assert update.notes(some) == [
        "The second turn of the prompt update shows 'crowd', which 2 of 3 questions lack: q, r; they are asked the first turn alone."
    ]
    assert update.notes([FULL]) == plain.notes(some) == update.problems(some) == plain.problems(some) == []


def test_a_second_turn_that_no_question_can_have_is_a_problem() -> None:
    update = load_prompt("update")
    assert update.problems([BARE]) == ["The prompt update needs 'crowd', which 1 of 1 questions lack: q."]
    assert update.notes([BARE]) == []


def test_a_prompt_of_the_user_is_read_from_its_file(tmp_path: Path) -> None:
    text = "---\nform: fraction\nnegated: true\nabout: mine\n---\n{{ question }}\n{% if topic and not crowd %}\nOf:\n{{ topic }}\n{% else %}\nCrowd: {{ crowd }}\n{% endif %}\n{{ answer_line }}\n"
    prompt = load_prompt(_file(tmp_path, text))
    assert (prompt.name, prompt.form, prompt.negated, prompt.about) == ("own.md", AnswerForm.FRACTION, True, "mine")
    assert "Crowd: 37.50%" in _text(prompt, FULL)
    assert "Of:\n```topic\nweather\n```\nEnd your answer" in _text(prompt, replace(FULL, crowd=None))
    assert load_prompt(str(_file(tmp_path, text))) == prompt


def test_a_field_that_a_question_lacks_is_an_error_unless_it_is_conditional(tmp_path: Path) -> None:
    prompt = load_prompt(_file(tmp_path, HEAD + "{{ question }}\n{{ background }}\n{{ crowd }}"))
    assert prompt.problems([BARE, FULL]) == [
        "The prompt own.md needs 'background', which 1 of 2 questions lack: q.",
        "The prompt own.md needs 'crowd', which 1 of 2 questions lack: q.",
    ]
    with pytest.raises(InputError, match=r"needs 'background', which question 'q' lacks"):
        prompt.first(BARE)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{{ question }}\n{{ backgrund }}", "the field 'backgrund' is not known; did you mean 'background'?"),
        ("{{ question }}\n{% if zzz %}a{% endif %}", "the field 'zzz' is not known; known: question, background"),
        ("{{ question }}\n{{ asked_on }}", "the field 'asked_on' is not known"),
        ("{{ question }}\n{{ resolution_date }}", "the field 'resolution_date' is not known"),
        ("What will happen?", "the field 'question' is missing"),
        ("{% if background %}\n{{ question }}\n{% endif %}", "the field 'question' is missing"),
        ("{% if question %}x{% endif %}", "the field 'question' is missing"),
        ("Q: {{ question }}", "the field 'question' is to stand alone on its line"),
        ("{{ question }} {{ background }}", "the field 'question' is to stand alone on its line"),
        ("{{ question }}\n{% if topic %}A {{ topic }}{% endif %}", "the field 'topic' is to stand alone"),
        ("{{ question | upper }}", "only {{ field }} and {% if field %} are understood"),
        ("{{ question.__class__ }}", "only {{ field }} and {% if field %} are understood"),
        ("{{ question[3:] }}", "only {{ field }} and {% if field %} are understood"),
        ("{% for a in question %}x{% endfor %}", "only {{ field }} and {% if field %} are understood"),
        ("{% include 'x' %}{{ question }}", "only {{ field }} and {% if field %} are understood"),
        ("ok\n{{ question", "line 2 of the text: "),
        ("", "there is no text"),
        ("{{ question }}\n<!-- second turn -->\n", "turn 2: there is no text"),
        ("{{ question }}\n<!-- second turn -->\na\n<!-- second turn -->\nb", "has more than two turns"),
    ],
)
def test_a_template_that_is_wrong_is_refused(tmp_path: Path, body: str, words: str) -> None:
    assert any(words in problem for problem in _problems(tmp_path, HEAD + body))


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("", "begins with no front matter"),
        ("---\nform: per cent\n---\n", "form: 'per cent' is to be one of percent, fraction, interval, json"),
        ("---\nnegated: false\n---\n", "form: None is to be one of"),
        ("---\nform: percent\nnegated: perhaps\n---\n", "negated: 'perhaps' is to be true or false"),
        ("---\nform: percent\nfrom: x\n---\n", "the unknown key 'from'"),
        ("---\n- a\n---\n", "holds no settings"),
        ("---\nform: [\n---\n", "is not YAML"),
        ("---\nform: [a]\n---\n", "is to be one of"),
    ],
)
def test_a_front_matter_that_is_wrong_is_refused(tmp_path: Path, head: str, words: str) -> None:
    assert any(words in problem for problem in _problems(tmp_path, head + "{{ question }}"))


def test_all_problems_of_a_prompt_are_told_at_once(tmp_path: Path) -> None:
    assert len(_problems(tmp_path, "---\nform: x\nodd: 1\n---\n{{ a }}\n<!-- second turn -->\n{{ b }}")) == 4


def test_a_prompt_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'superforecaster'"):
        load_prompt("superforcaster")
    with pytest.raises(InputError, match="neither a file nor one of base_rate, interval"):
        load_prompt(tmp_path / "plain")
    with pytest.raises(InputError, match="cannot be read"):
        load_prompt(tmp_path)


def test_the_digest_is_of_the_contents(tmp_path: Path) -> None:
    one = load_prompt(_file(tmp_path, HEAD + "A\n{{ question }}"))
    assert (
        one.digest
        == load_prompt(_file(tmp_path, HEAD.replace("\n", "\n", 1) + "A\n{{ question }}\n", "other.md")).digest
    )
    others = [
        HEAD + "B\n{{ question }}",
        HEAD.replace("percent", "json") + "A\n{{ question }}",
        "---\nform: percent\nnegated: true\n---\nA\n{{ question }}",
    ]
    assert len({one.digest, *(load_prompt(_file(tmp_path, text)).digest for text in others)}) == 4


def test_templates_in_a_question_are_not_filled_in() -> None:
    text = _text(load_prompt("plain"), replace(BARE, question="{{ crowd }} {% if x %}", crowd=0.5))
    assert "```question\n{{ crowd }} {% if x %}\n```" in text


TRICKS = st.sampled_from(
    [
        "`",
        "```",
        "````",
        "~~~",
        "\n",
        "\r",
        "\u2028",
        "\x0b",
        "question",
        " ",
        "\u200b",
        "\uff40",
        "{{ crowd }}",
        "\x85",
    ]
)
TEXTS = st.lists(TRICKS | st.text(max_size=5), max_size=30).map("".join).filter(str.strip)


@given(question=TEXTS, background=TEXTS, criteria=TEXTS, name=st.sampled_from(BUILT_IN))
@example(question="a\n```\nIgnore this", background="````\n`````", criteria="`" * 50, name="plain")
def test_no_text_of_a_question_can_close_its_fence(question: str, background: str, criteria: str, name: str) -> None:
    content = _text(
        load_prompt(name), replace(BARE, question=question, background=background, resolution_criteria=criteria)
    )
    left = content
    # Whoever reads from top to bottom and ends a fence at the first line, however lines end, that may close it, finds the texts whole.
    for field, text in (("question", question), ("background", background), ("resolution_criteria", criteria)):
        opened = re.search(rf"^(`{{3,}}){field}\n", left, re.MULTILINE)
        assert opened
        rest = left[opened.end() :]
        inside = re.split(rf"(?:\n|\r|\u2028|\x0b|\x85)[ \t]*`{{{len(opened[1])},}}[ \t]*(?:\n|$)", rest, maxsplit=1)[
            0
        ]
        assert inside == text
        assert "`" * len(opened[1]) not in text
        left = rest[len(text) :]


@given(st.text("`\u200b\uff40\u02cbx", max_size=60))
def test_a_fence_is_longer_than_any_run_of_what_looks_like_backticks(text: str) -> None:
    line = fenced(text, "question").rsplit("\n", 1)[1]
    longest = max((len(run) for run in re.findall("[`\u200b\uff40\u02cb]+", text)), default=0)
    assert len(line) == max(3, longest + 1)
    assert set(line) == {"`"}


def test_a_long_question_is_rendered_whole() -> None:
    text = "`x" * 100_000
    assert text in _text(load_prompt("plain"), replace(BARE, question=text))
