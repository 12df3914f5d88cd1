"""The examples of the room's page are methods that work as it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from granules_in_memory import merged

import hf_soup.methods
from hf_soup.methods import GRANULE, METHODS

PAGE = Path(hf_soup.methods.__file__).with_name("README.md").read_text(encoding="utf-8")


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    known = set(METHODS)
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)):
        path = tmp_path / f"readme_example_{number}.py"
        path.write_text(code, encoding="utf-8")
        exec(compile(code, str(path), "exec"), {"__name__": path.stem})
    yield
    for name in set(METHODS) - known:
        del METHODS[name]


@pytest.mark.usefixtures("examples")
def test_the_examples_are_methods():
    generator = torch.Generator().manual_seed(0)
    base, *models = (torch.randn(GRANULE + 5, generator=generator) for _ in range(4))
    stack = torch.stack(models)
    expected = 0.75 * stack.min(0).values + 0.25 * stack.max(0).values
    torch.testing.assert_close(merged(METHODS["midrange"], None, models, t=0.25), expected)

    vectors = (stack - base).double()
    lengths = vectors.norm(dim=1, keepdim=True)
    expected = base + (vectors / lengths * lengths.mean()).mean(0).float()
    torch.testing.assert_close(merged(METHODS["equal_lengths"], base, models), expected)


def test_every_shared_file_is_named():
    folder = Path(hf_soup.methods.__file__).parent
    named = set(re.findall(r"`(\w+\.py)`", PAGE)) | {"__init__.py", "method.py", "blocks.py", "settings.py"}
    methods = {f"{name}.py" for name in METHODS}
    assert {path.name for path in folder.glob("*.py")} <= named | methods
