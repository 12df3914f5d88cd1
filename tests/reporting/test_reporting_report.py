"""What a report says, and that it shows what comes from the data as text and as nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_samples import SERVER, TEXTS, table, write_csv, write_run
from scipy.stats import false_discovery_control, wilcoxon

from hf_soup.errors import InputError
from hf_soup.forecasting import Forecasts
from hf_soup.reporting import Report, report
from hf_soup.reporting.page import Grid, Picture
from hf_soup.reporting.run_facts import without_places
from hf_soup.scoring.table import ForecastTable

ORDER = [
    "asked",
    "scores",
    "comparisons",
    "calibration",
    "reliability",
    "questions",
    "biases",
    "missing",
    "costs",
    "back-tests",
    "methods",
]


class Elements(HTMLParser):
    """Every element of a page with its attributes, and every text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def with_texts() -> Report:
    made = table()
    return report(made, questions_text={id: TEXTS[n % 4] for n, id in enumerate(made.questions)})


@pytest.fixture(scope="module")
def page(with_texts: Report) -> str:
    return with_texts.html()


@pytest.fixture(scope="module")
def of_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, str]:
    run = Forecasts.from_run(write_run(tmp_path_factory.mktemp("runs") / "run"))
    made = run.report(run.path / "report.html")
    return made, (run.path / "report.html").read_text(encoding="utf-8")


def grids(made: Report, section: str) -> list[Grid]:
    found = next(each for each in made.page.sections if each.name == section)
    return [block for block in found.blocks if isinstance(block, Grid)]


def test_sections_stand_in_the_order_of_the_reader(with_texts):
    assert [each.name for each in with_texts.page.sections] == ORDER


def test_the_headline_has_score_interval_n_and_what_it_is_compared_with(with_texts):
    primary = with_texts.findings.primary
    low, high = primary.interval
    headline = with_texts.page.headline
    for shown in (f"{primary.brier:.4f}", f"{low:.4f}", f"{high:.4f}"):
        assert shown.lstrip("0") in headline
    assert "60 resolved questions" in headline
    assert "50 % (.2500)" in headline
    assert "human crowd" in headline
    for comparison in with_texts.findings.comparing.comparisons[:2]:
        assert f"{comparison.detectable:.4f}".lstrip("0") in headline
    assert headline.count(". ") == 0


def test_what_is_not_decided_is_never_called_equal(with_texts):
    text = with_texts.markdown()
    assert "not decided" in text
    assert not re.search(r"\b(equal to|as good as|no difference)\b", text)


def test_the_page_runs_nothing_and_asks_for_nothing(page):
    found = Elements(page)
    policy = next(each for each in found.named("meta") if each.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy["content"]
    assert {tag for tag, _ in found.elements} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "image",
        "foreignobject",
    } == set()
    for tag, attributes in found.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href"):
                assert value.startswith("#"), (tag, name, value)
            assert "url(" not in (value or "").replace("url(#", "")
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style


def test_what_a_question_says_is_shown_and_never_done(page):
    assert "<script>" not in page.lower()
    texts = "".join(Elements(page).texts)
    assert "Will <script>alert(1)</script> win | the `election`?" in texts
    assert "between $40k and $50k" in texts


def test_figures_and_tables_can_be_read_without_seeing_them(page):
    found = Elements(page)
    names = {attributes["id"] for _, attributes in found.elements if attributes.get("id")}
    ids = [attributes["id"] for _, attributes in found.elements if attributes.get("id")]
    assert len(ids) == len(names)
    figures = found.named("svg")
    assert len(figures) >= 8
    for each in figures:
        assert each["role"] == "img"
        assert set(each["aria-labelledby"].split()) <= names
        assert "width" not in each
    assert len(found.named("title")) == len(figures) + 1
    assert all(each.get("scope") in ("col", "row") for each in found.named("th"))
    assert all(each["aria-labelledby"] in names for each in found.named("table"))
    assert found.named("html")[0]["lang"] == "en"


def test_colours_of_figures_are_those_of_the_page(page):
    for figure in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        assert "var(--ink)" in figure
        assert "#1a1b1c" not in figure


def test_markdown_shows_texts_as_they_are(with_texts):
    text = with_texts.markdown()
    rows = [line for line in text.splitlines() if "election" in line]
    assert rows
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) == 6
        assert "&lt;script" in row
        assert r"\`election\`" in row
    assert r"\[this\](https://evil" in text
    assert "\n# and this" not in text
    assert r"\$40k" in text


def test_markdown_has_the_same_tables_and_sentences(with_texts):
    text = with_texts.markdown()
    for section in with_texts.page.sections:
        for block in section.blocks:
            if isinstance(block, Grid):
                assert text.count("\n| ") > len(block.rows)
    scores = grids(with_texts, "scores")[0]
    for row in scores.rows:
        assert row[1] in text
    assert "![" not in text


def test_markdown_links_the_plots_that_were_asked_for(with_texts, tmp_path: Path):
    with_texts.save(tmp_path / "report.md", plots=tmp_path / "my plots")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    links = re.findall(r"!\[[^]]*\]\(([^)]*)\)", text)
    assert len(links) == len(with_texts.page.pictures())
    for link in links:
        content = (tmp_path / link.replace("%20", " ")).read_bytes()
        assert content.startswith(b"\x89PNG")


def test_every_aggregate_members_crowd_and_blend_are_in_the_tables_with_intervals(with_texts):
    scores, others, blend = grids(with_texts, "scores")[:3]
    assert [row[0] for row in scores.rows[:4]] == ["mean", "median", "geometric odds", "crowd"]
    assert {row[0] for row in scores.rows[4:]} == {f"maker/model_{n}" for n in range(3)}
    assert [row[0] for row in others.rows] == [row[0] for row in scores.rows]
    assert {scores.header[3], blend.header[2]} == {"95 % interval"}
    assert all(" to " in row[3] for row in scores.rows)
    assert all(" to " in row[2] for row in blend.rows)
    assert [row[0] for row in blend.rows] == ["blend with the crowd", "crowd alone", "models alone (mean)"]


def test_every_comparison_has_n_and_its_detectable_difference(with_texts):
    (grid,) = grids(with_texts, "comparisons")
    assert grid.header[2] == "n"
    place = grid.header.index("detectable")
    assert len(grid.rows) == 5
    for row in grid.rows:
        assert row[2] == "60"
        assert row[place] != "–"


def test_wilcoxon_is_a_test_of_symmetry_beside_the_verdict_and_none():
    made = table(100)
    shown = report(made)
    (grid,) = grids(shown, "comparisons")
    means = made.values.mean(axis=2)
    aggregate = means.mean(axis=1)
    brier = [(each - made.outcomes) ** 2 for each in (aggregate, np.full(100, 0.5), made.crowd, *means.T)]
    expected = [float(wilcoxon(np.round(brier[0] - each, 10)).pvalue) for each in brier[1:]]
    assert grid.header[-1] == "symmetry (Wilcoxon)"
    assert [float(row[-1].removeprefix("< ")) for row in grid.rows] == pytest.approx(expected, abs=0.001)
    assert "it decides nothing here" in shown.markdown()
    assert all((row[1] == "not decided") == (float(row[8].removeprefix("< ")) >= 0.05) for row in grid.rows)


def test_every_two_models_are_compared_where_that_is_asked_for():
    made = with_refusals()
    shown = report(made, pairwise=True)
    of_aggregate, pairs = grids(shown, "comparisons")
    means = made.member_means()
    first, second, aggregate = (
        (each - made.outcomes) ** 2 for each in (means[:, 0], means[:, 1], np.nanmean(means, axis=1))
    )
    both = ~np.isnan(first + second)
    row = dict(zip(pairs.header, pairs.rows[0], strict=True))
    count = len(made.members)
    assert len(pairs.rows) == count * (count - 1) // 2
    assert len(of_aggregate.rows) == len(grids(report(made), "comparisons")[0].rows)
    assert row["models"] == f"{made.members[0]} against {made.members[1]}"
    assert row["n"] == str(both.sum()) != str(len(both))
    assert [float(row[name]) for name in ("first", "second", "aggregate")] == pytest.approx(
        [each[both].mean() for each in (first, second, aggregate)], abs=0.0001
    )
    assert (row["verdict"] == "not decided") == (float(row["p adjusted"].removeprefix("< ")) >= 0.05)
    tests = len(of_aggregate.rows) + len(pairs.rows)
    assert f"over {tests} primary comparisons" in shown.markdown()
    with pytest.raises(InputError, match="there is one member only"):
        report(table(60, 1, 1), pairwise=True)


def test_python_s_report_takes_the_crowd_s_weight_as_the_command_does(tmp_path: Path):
    made = table(80, 2, 1)
    ready = Forecasts.from_file(write_csv(tmp_path / "wide.csv", made))
    shown = ready.report(tmp_path / "report.md", crowd_weight=0.3, pairwise=True)
    assert "crowd's weight 0.3" in (tmp_path / "report.md").read_text(encoding="utf-8")
    odds = [
        np.log(np.clip(p, 0.01, 0.99) / (1 - np.clip(p, 0.01, 0.99)))
        for p in (made.crowd, made.values[:, :, 0].mean(axis=1))
    ]
    blend = 1 / (1 + np.exp(-0.3 * odds[0] - 0.7 * odds[1]))
    assert shown.findings.blend.rows[0].brier == pytest.approx(((blend - made.outcomes) ** 2).mean())
    assert len(grids(shown, "comparisons")) == 2


@pytest.mark.parametrize("crowd", [True, False])
def test_without_a_resolved_question_there_are_forecasts_and_no_score(crowd):
    made = report(table(30, resolved=0, crowd=crowd))
    text = made.markdown()
    assert "No question is resolved yet" in made.page.headline
    assert "30 questions" in made.page.headline
    assert len(grids(made, "questions")[0].rows) == 30
    assert "Brier" not in grids(made, "questions")[0].header
    assert "nothing to score yet" in text
    assert made.html().count("<svg") >= 2


def test_one_resolved_question_is_scored_and_not_tested():
    made = report(table(30, resolved=1))
    assert "one question tells nothing" in made.page.headline
    assert not grids(made, "comparisons")
    assert "one resolved question only: scores, no test" in made.markdown()
    assert grids(made, "scores")[0].rows[0][1] != "–"


@pytest.mark.parametrize(
    "made",
    [
        table(1, 1, 1),
        table(2, 2, 1, crowd=False),
        table(60, 1, 1, crowd=False),
        ForecastTable.of(np.full((40, 2), 0.5), np.arange(40) % 2),
        replace(table(20), groups=np.zeros(20, dtype=np.int64)),
        replace(table(20, resolved=0), annulled=np.ones(20, dtype=bool)),
    ],
    ids=["one question", "two questions", "one member", "constant", "one group", "annulled"],
)
def test_small_tables_make_a_page_too(made, recwarn):
    shown = report(made)
    text = "\n".join([shown.markdown(), *(each.description for each in shown.page.pictures())])
    assert not re.search(r"\b(nan|None|unknown|inf)\b", text)
    assert not re.search(r"(?<![\w.,])1 (questions|groups|forecasts|members|models|samples|tests)\b", text)
    assert not re.search(r"[-−]0\.0(?!\d)|[-−]\.0000", text)
    assert not re.search(r"(^|\. )(mean|always|columns|no question)\b", text, re.MULTILINE)
    assert [str(each.message) for each in recwarn if issubclass(each.category, RuntimeWarning)] == []


def test_of_many_questions_the_best_and_worst_are_shown_in_a_small_file():
    made = report(table(5_000, 2, 1))
    content = made.html().encode()
    assert len(content) < 1_500_000
    best, worst = grids(made, "questions")
    assert len(best.rows) == len(worst.rows) == 10
    briers = made.findings.briers
    assert float(best.rows[0][-1]) == pytest.approx(np.nanmin(briers), abs=1e-4)
    assert float(worst.rows[0][-1]) == pytest.approx(np.nanmax(briers), abs=1e-4)
    assert "40 of 5,000" in made.markdown()


def with_refusals() -> ForecastTable:
    """The second of three members knows no more than the others, and refuses the 20 questions on which they are worst."""
    made = replace(table(80, 3, 1), topics=("Sport", "Politics") * 40)
    worst = np.argsort((made.member_means().mean(axis=1) - made.outcomes) ** 2)[-20:]
    values = made.values.copy()
    values[worst, 1] = np.nan
    return replace(made, values=values)


def test_who_refuses_hard_questions_is_marked_and_stands_beside_the_aggregate_on_the_same_questions():
    made = with_refusals()
    shown = report(made)
    scores = grids(shown, "scores")[0]
    rows = {row[0]: dict(zip(scores.header, row, strict=True)) for row in scores.rows}
    refuser = rows["maker/model_1 *"]
    answered = ~np.isnan(made.member_means()[:, 1])
    outcomes = made.outcomes[answered]
    mean = np.nanmean(made.member_means(), axis=1)[answered]
    assert float(refuser["mean, same questions"]) == pytest.approx(((mean - outcomes) ** 2).mean(), abs=1e-4)
    assert float(refuser["Brier"]) == pytest.approx(
        ((made.member_means()[answered, 1] - outcomes) ** 2).mean(), abs=1e-4
    )
    assert (refuser["n"], refuser["missing"]) == ("60", "20")
    # By its own mean it would head everybody.
    assert float(refuser["Brier"]) < min(float(row["Brier"]) for name, row in rows.items() if "*" not in name)
    differences = [
        float(row["Brier"]) - float(row["mean, same questions"]) for row in rows.values() if row["kind"] == "member"
    ]
    assert differences == sorted(differences)
    assert "1 model that left questions out is marked with" in shown.markdown()
    brier = next(each for each in shown.page.pictures() if each.name == "brier")
    assert "maker/model_1" in brier.description
    assert " on 60 questions alone" in brier.description
    assert "maker/model_1 (n 60)" in shown.html()


def test_the_second_table_has_the_other_scores_and_the_parts_of_the_brier_score():
    made = table(80, 3, 1)
    p, y = made.member_means()[:, 0], made.outcomes
    row = next(
        dict(zip(grid.header, row, strict=True))
        for grid in grids(report(made), "scores")[1:2]
        for row in grid.rows
        if row[0] == "maker/model_0"
    )
    happened = np.where(y == 1, p, 1 - p)
    assert float(row["spherical"]) == pytest.approx((happened / np.hypot(p, 1 - p)).mean(), abs=1e-4)
    clipped = np.clip(happened, 0.001, 0.999)
    assert float(row["Metaculus"]) == pytest.approx((100 * (1 + np.log2(clipped))).mean(), abs=0.05)
    parts = [
        float(row[name].replace("−", "-")) for name in ("reliability", "resolution", "uncertainty", "within bins")
    ]
    assert parts[0] - parts[1] + parts[2] + parts[3] == pytest.approx(((p - y) ** 2).mean(), abs=3e-4)
    assert parts[2] == pytest.approx(y.mean() * (1 - y.mean()), abs=1e-4)


def test_members_are_scored_by_topic_with_the_number_of_questions_where_it_is_smaller():
    made = with_refusals()
    overall, of_members = grids(report(made), "scores")[3:5]
    assert (overall.header[0], [row[0] for row in overall.rows]) == ("topic", ["Politics", "Sport"])
    means = made.member_means()
    for column, topic in enumerate(of_members.header[1:], 1):
        here = np.array([each == topic for each in made.topics])
        rows = {row[0]: row[column] for row in of_members.rows}
        assert rows["questions"] == "40"
        for number in range(3):
            scores = (means[here, number] - made.outcomes[here]) ** 2
            shown, _, n = rows[f"maker/model_{number}"].partition(" ")
            assert float(shown) == pytest.approx(np.nanmean(scores), abs=1e-4)
            count = int((~np.isnan(scores)).sum())
            assert n == ("" if count == 40 else f"({count})")


def test_of_many_topics_the_members_table_shows_the_largest_and_says_so():
    topics = [f"topic {n % 12}" for n in range(117)] + ["topic 11"] * 3
    made = report(replace(table(120, 2, 1, crowd=False), topics=tuple(topics)))
    overall, of_members = grids(made, "scores")[2:4]
    assert len(overall.rows) == 12
    assert len(of_members.header) == 1 + 8
    assert of_members.header[1] == "topic 11"
    assert "Of 12 topics those 8 with most questions are shown" in made.markdown()


def test_opposite_questions_and_other_wordings_are_in_the_section_on_biases():
    made = table(60, 2, 1, crowd=False)
    opposite = ForecastTable.of(np.clip(1 - made.values + 0.06, 0, 1), questions=made.questions, members=made.members)
    shown = report(made, negated=opposite, paraphrases=[made])
    captions = [each.caption for each in grids(shown, "biases")]
    lean = next(each for each in grids(shown, "biases") if each.caption.startswith("Acquiescence"))
    assert any(each.startswith("Other wordings") for each in captions)
    expected = 100 * (np.clip(1 - made.values + 0.06, 0, 1) + made.values - 1).mean(axis=(0, 2))
    assert [float(row[1]) for row in lean.rows[:2]] == pytest.approx(expected.tolist(), abs=0.06)
    assert shown.findings.reworded_elsewhere
    assert not any("is not checked" in note for note in shown.findings.bias.notes)


def test_tables_of_biases_have_the_adjusted_p_that_decides_what_was_found():
    made = table(60, 3, 2, crowd=False)
    generator = np.random.default_rng(0)
    opposite, reworded = (
        np.clip(each + 0.1 * generator.standard_normal(made.values.shape) + shift, 0, 1)
        for each, shift in ((1 - made.values, 0.02), (made.values, 0))
    )
    names = {"questions": made.questions, "members": made.members}
    shown = report(
        made, negated=ForecastTable.of(opposite, **names), paraphrases=[ForecastTable.of(reworded, **names)]
    )
    tested = [each for each in shown.findings.bias.findings if each.estimate.test]
    of_all = false_discovery_control([each.estimate.test.p for each in tested])
    adjusted = {(each.check, each.name, each.measure): p for each, p in zip(tested, of_all, strict=True)}
    for caption, check, measure, header in (
        ("Mean forecast", "mean_against_base_rate", "mean − base rate", "p adjusted"),
        ("Acquiescence", "acquiescence", "p + p_not − 1", "p adjusted"),
        ("Other wordings", "paraphrases", "other wording − question", "p adjusted"),
        ("Other wordings", "paraphrases", "variance beyond sampling", "p of words, adjusted"),
        ("Confidence", "confidence", "slope", "p adjusted"),
        ("Confidence", "confidence", "sureness − right", "p of surplus, adjusted"),
    ):
        grid = next(each for each in grids(shown, "biases") if each.caption.startswith(caption))
        place = grid.header.index(header)
        assert [float(row[place].removeprefix("< ")) for row in grid.rows] == pytest.approx(
            [adjusted[check, row[0], measure] for row in grid.rows], abs=0.001
        )
        assert all(len(row) == len(grid.header) for row in grid.rows)


def test_printed_and_in_a_notebook_a_report_is_short_and_says_where_it_is(tmp_path: Path):
    made = report(table())
    assert str(made) == f"{made.page.headline}\nnot saved: report.save('report.html')"
    path = made.save(tmp_path / "report.html")
    assert str(made).splitlines() == [made.page.headline, str(path)]
    brier = f"{made.findings.primary.brier:.4f}".removeprefix("0")
    assert repr(made) == f"<Report of 60 questions and 3 models: mean {brier} on 60 questions; {path}>"
    assert "nothing resolved" in repr(report(table(5, resolved=0)))


def test_missing_answers_are_counted_by_member():
    made = table(20, crowd=False)
    values = made.values.copy()
    values[:5, 1] = np.nan
    (grid,) = grids(report(replace(made, values=values)), "missing")
    assert grid.rows == (("maker/model_1", "no forecast of the question", "5", "20", "25.0 %"),)


def test_open_questions_make_the_scores_interim():
    made = report(table(60, resolved=50))
    assert any("10 of 60 questions are still open" in each for each in made.page.cautions)
    assert made.markdown().count("resolve early are over-represented") == 1
    assert "While 10 questions are open, the scores are interim" in made.markdown()


def test_a_run_shows_reasons_costs_and_back_tests_first(of_run):
    made, _ = of_run
    assert made.page.cautions[0].startswith("20 answers are back-tests and no forecast")
    rows = {row[:4] for row in grids(made, "missing")[0].rows}
    assert rows == {
        ("openai/beta", "it says: ask [address]", "16", "80"),
        ("openai/gamma", "timeout", "12", "80"),
    }
    costs = grids(made, "costs")[0]
    assert [row[:3] for row in costs.rows] == [
        ("openai/alpha", "$0.0800", "$0.0020"),
        ("openai/beta", "$0.1600", "$0.0040"),
        ("openai/gamma", "$0.2400", "$0.0060"),
    ]
    assert "since it is not known when the member's knowledge ends: q0, q1, q2, q3, q4 and 15 more" in made.markdown()


def test_a_run_s_page_names_no_server_and_no_path(of_run):
    _, html = of_run
    for secret in (SERVER, "10.1.2.3", "/models/private"):
        assert secret not in html


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see http://host.local:8000/v1/chat?key=1 now", "see [address] now"),
        ("connection to 192.168.0.7:11434 refused", "connection to [address] refused"),
        ("connection to localhost:11434 refused", "connection to [address] refused"),
        ("cannot read /home/me/run/calls.jsonl", "cannot read [path]"),
        (r"cannot read C:\Users\me\calls.jsonl", "cannot read [path]"),
        ("a ratio of 3/4, yes/no, 12:30 and 50 %", "a ratio of 3/4, yes/no, 12:30 and 50 %"),
    ],
)
def test_places_are_taken_out_of_reasons(text, shown):
    assert without_places(text) == shown


def test_methods_call_aggregators_as_the_tables_do(with_texts):
    text = with_texts.markdown()
    assert "Geometric odds (clipped to" in text
    assert "Median (pooled): the pooled median" in text
    for name in ("geometric", "neyman"):
        assert f"{name}\\_" not in report(table(), everything=True).markdown().lower()


def test_the_primary_aggregate_is_the_one_that_was_named(with_texts):
    made = report(table(), primary="median")
    assert made.findings.primary.name == "median"
    assert made.page.headline.startswith("On 60 resolved questions the median of 3 models")
    assert grids(made, "scores")[0].rows[0][0] == "median"


def test_the_same_forecasts_give_the_same_page(with_texts, page):
    made = table()
    assert report(made, questions_text={id: TEXTS[n % 4] for n, id in enumerate(made.questions)}).html() == page


def test_pictures_have_names_of_their_own(with_texts):
    names = [each.name for each in with_texts.page.pictures()]
    assert len(names) == len(set(names))
    assert all(isinstance(each, Picture) and each.description for each in with_texts.page.pictures())


@pytest.mark.parametrize("name", ["report.pdf", "report", "nowhere/report.html"])
def test_other_places_are_refused(with_texts, tmp_path: Path, name):
    with pytest.raises(InputError):
        with_texts.save(tmp_path / name)


def test_a_bound_is_tested_and_looks_are_counted():
    text = report(table(), bound=0.05, looks=2).markdown()
    assert "bound" in text
    assert "2 looks" in text
    assert "(Benjamini–Hochberg, 2 looks), " in text.split("## Biases")[1]


def test_the_blend_s_verdict_is_that_of_the_comparisons_after_as_many_looks():
    made = report(table(300), looks=5).findings
    assert made.blend.to_json() == made.comparing.blending.to_json()
    assert "multiplying each p by the 5 looks" in made.blend.adjustment()


def test_wrong_wishes_are_refused_before_anything_is_drawn():
    for wish in ({"primary": "best"}, {"bound": -1.0}, {"looks": 0}):
        with pytest.raises(InputError):
            report(table(), **wish)
