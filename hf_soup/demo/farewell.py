"""What the demo says last: what lies where, and how to go on."""

from __future__ import annotations

from pathlib import Path

from hf_soup.demo.places import ADAPTER_REPO, MIXED_REPO, SOUP_REPO, Places
from hf_soup.demo.words import WordFiles


def farewell(places: Places, files: WordFiles, seconds: float, fine_tunes: list[str], adapters: list[str]) -> str:
    """`fine_tunes`, `adapters`: Hub IDs."""
    some = f"{' '.join(fine_tunes[:2])} {adapters[0]}"
    return f"""
Done in {seconds:.0f} s. Everything is in {places.folder}
  words/          the data, as CSV files
  hub/            the Hub's repositories (the Hub itself has stopped)
  greedy-soup/    the published model, its card and soup.json
  uniform-soup/   the average of all five
  exact-adapter/  the three adapters as one, small-adapter/ as one of a smaller rank
  mixed-soup/     the soup of fine-tunes and adapters
  evidence.png    the table of the five fine-tunes as a picture
The fine-tunes are in {places.fine_tunes}

To go on, start the Hub again:
  hf-soup hub serve --root {_quoted(places.hub)}
and in another terminal, after the export lines that it prints and `export HF_HUB_CACHE={_quoted(places.hub_cache)}`:
  hf-soup verify {SOUP_REPO}
  hf-soup verify {ADAPTER_REPO}
  hf-soup verify {MIXED_REPO}
  hf-soup greedy {some} --data {_quoted(files.held_out)} --task text-classification --metric nll -o my-soup
  hf-soup adapters combine {" ".join(adapters)} --as svd --rank auto --energy 0.9 -o my-adapter
"""


def _quoted(path: Path) -> str:
    """A path as it can be pasted into a terminal."""
    return f'"{path}"' if " " in str(path) else str(path)
