"""Two pictures: the path of a selection, and the evidence with its intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.drawing import BLACK, BLUE, GREEN, GREY, ORANGE, few_ticks, figure, grid, save, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SELECTION_PICTURE = "selection.png"
EVIDENCE_PICTURE = "evidence.png"


def selection_plot(selection: dict[str, Any], evidence: dict[str, Any] | None, path: Path) -> Path:
    """Draws the score of the soup after each step, kept or not, beside the single scores; returns `path`.

    Where the evidence has the published soup's interval on the held-out data, it is drawn as a band.
    """
    steps = selection["steps"]
    names = [candidate["name"] for candidate in selection["candidates"]]
    with figure(8.4, 1.8 + 0.36 * len(steps)) as (drawn, axes):
        places = range(len(steps))
        kept = [(place, step) for place, step in enumerate(steps) if step["accepted"]]
        left_out = [(place, step) for place, step in enumerate(steps) if not step["accepted"]]
        band = _soup_on_held_out(evidence)
        if band is not None:
            axes.axvspan(band["low"], band["high"], color=BLUE, alpha=0.10, lw=0, label="95 % interval of the soup")
        axes.plot(
            [selection["scores"][step["candidate"]] for step in steps],
            places,
            ls="",
            marker="|",
            ms=13,
            mew=2.2,
            color=BLACK,
            label="the model alone",
        )
        axes.plot([step["score"] for _, step in kept], [p for p, _ in kept], color=BLUE, lw=1.5, zorder=2)
        axes.plot(
            [step["score"] for _, step in kept],
            [place for place, _ in kept],
            ls="",
            marker="o",
            ms=9,
            color=BLUE,
            zorder=3,
            label="soup with it: kept",
        )
        axes.plot(
            [step["score"] for _, step in left_out],
            [place for place, _ in left_out],
            ls="",
            marker="X",
            ms=9,
            color=ORANGE,
            mec="white",
            zorder=3,
            label="soup with it: left out",
        )
        labels = [("" if place == 0 else "+ ") + short(names[step["candidate"]]) for place, step in enumerate(steps)]
        axes.set_yticks(list(places), labels)
        axes.set_ylim(len(steps) - 0.5, -0.5)
        better = "higher" if selection.get("maximise", True) else "lower"
        axes.set_xlabel(f"{selection['metric']} on held-out data ({better} is better)")
        axes.set_title("The path of the selection, from top to bottom", loc="left", fontsize=11, fontweight="bold")
        grid(axes)
        drawn.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9, handletextpad=0.4)
        save(drawn, path)
    return path


def evidence_plot(evidence: dict[str, Any], path: Path) -> Path:
    """Draws every evaluated model with its interval, one panel for each set of data; returns `path`."""
    sets, rows = evidence["sets"], evidence["rows"]
    with figure(2.6 + 2.9 * len(sets), 1.5 + 0.34 * len(rows), len(sets)) as (drawn, *panels):
        for panel, one in zip(panels, sets, strict=True):
            for place, row in enumerate(rows):
                result = row.get("results", {}).get(one["name"])
                if result and result.get("value") is not None:
                    _interval(panel, place, result, row)
            _reference(panel, rows, one["name"])
            count = f", {one['rows']:,} rows" if isinstance(one.get("rows"), int) else ""
            role = "held-out: optimised" if one.get("role") == "held-out" else one["name"]
            panel.set_title(f"{role}{count}", loc="left", fontsize=10)
            panel.set_xlabel(evidence["metric"])
            panel.set_ylim(len(rows) - 0.5, -0.5)
            panel.set_yticks(
                range(len(rows)), [_row_name(row) for row in rows] if panel is panels[0] else [""] * len(rows)
            )
            panel.xaxis.set_major_locator(few_ticks())
            grid(panel)
        for label, row in zip(panels[0].get_yticklabels(), rows, strict=True):
            if _is_published(row):
                label.set_fontweight("bold")
                label.set_color(BLUE)
        better = "higher" if evidence.get("maximise", True) else "lower"
        confidence = evidence.get("confidence", 0.95)
        drawn.suptitle(
            f"{evidence['metric']} with {confidence:.0%} intervals ({better} is better)",
            x=0.01,
            ha="left",
            fontsize=11,
            fontweight="bold",
        )
        if any(row.get("kind") == "best single" for row in rows):
            note = "Dashed: the single model with the best held-out score, which a soup has to beat."
            drawn.supxlabel(note, x=0.99, ha="right", fontsize=9, color=ORANGE)
        save(drawn, path)
    return path


def _interval(axes: Axes, place: int, result: dict[str, Any], row: dict[str, Any]) -> None:
    kind = row.get("kind")
    published = _is_published(row)
    colour = BLUE if published else GREY if kind == "ingredient" else GREEN if kind == "logit ensemble" else BLACK
    marker = "D" if published else "s" if kind == "logit ensemble" else "o"
    low, high = result.get("low"), result.get("high")
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=colour, lw=2.4 if published else 1.6, solid_capstyle="butt")
    axes.plot([result["value"]], [place], marker=marker, ms=8 if published else 6, color=colour, zorder=3)


def _reference(axes: Axes, rows: list[dict[str, Any]], set_name: str) -> None:
    """A line at the best single model, against which a soup is judged."""
    best = next((row for row in rows if row.get("kind") == "best single"), None)
    result = best["results"].get(set_name) if best else None
    if result and result.get("value") is not None:
        axes.axvline(result["value"], color=ORANGE, lw=1.2, ls=(0, (4, 3)), zorder=1)


def _row_name(row: dict[str, Any]) -> str:
    name, kind = str(row["name"]), row.get("kind")
    if kind in (None, "ingredient") or kind == name:
        return short(name)
    return short(f"{kind}: {name}") if kind == "best single" else short(kind)


def _is_published(row: dict[str, Any]) -> bool:
    return bool(row.get("chosen")) and row.get("kind") != "ingredient"


def _soup_on_held_out(evidence: dict[str, Any] | None) -> dict[str, Any] | None:
    held_out = {one["name"] for one in (evidence or {}).get("sets", []) if one.get("role") == "held-out"}
    for row in (evidence or {}).get("rows", []):
        for name, result in row.get("results", {}).items():
            if (
                _is_published(row)
                and name in held_out
                and result.get("low") is not None
                and result.get("high") is not None
            ):
                return result
    return None
