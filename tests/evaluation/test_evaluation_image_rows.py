"""Images as rows of data: paths, bytes, pictures, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evaluation_models import picture, write_csv

from hf_soup.errors import InputError
from hf_soup.evaluation import HeldOut

TASK = "text-classification"
ROWS = [
    {"text": 'Größe, "quoted"\nand\u2028broken', "label": "good"},
    {"text": "plain", "label": "bad"},
    {"text": "42", "label": "good"},
]


def problem(data: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        HeldOut(data, **{"task": TASK, **options})
    return str(caught.value)


def test_images_are_paths_beside_the_file_bytes_or_pillows(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(2):
        picture(number).save(tmp_path / "images" / f"{number}.png")
    by_path = [{"image": f"images/{number}.png", "label": f"c{number}"} for number in range(2)]
    by_bytes = [{**row, "image": (tmp_path / row["image"]).read_bytes()} for row in by_path]
    as_stored = [{**row, "image": {"bytes": row["image"], "path": None}} for row in by_bytes]
    from_file = HeldOut(write_csv(tmp_path / "rows.csv", by_path), "image-classification")
    assert from_file.fingerprint == HeldOut(by_bytes, "image-classification").fingerprint
    assert from_file.fingerprint == HeldOut(as_stored, "image-classification").fingerprint
    assert HeldOut([{"image": picture(n), "label": f"c{n}"} for n in range(2)], "image-classification").rows == 2


def test_images_that_are_missing_or_broken_are_errors_with_their_rows(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    rows = [{"image": "gone.png", "label": "a"}, {"image": "broken.png", "label": "b"}, {"image": "", "label": "a"}]
    message = problem(write_csv(tmp_path / "rows.csv", rows), task="image-classification")
    assert "row 1: 'image' names a file that does not exist" in message
    assert "row 2: 'image' is not an image that Pillow can read" in message
    assert "row 3: 'image' is empty" in message
