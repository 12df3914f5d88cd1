"""On a GPU every value is within one rounding of what a CPU writes."""

from __future__ import annotations

import pytest
import torch
from test_merging_same_bytes import PARAMETERS, large_relatives
from tiny_checkpoints import write_checkpoint

from hf_soup.checkpoints import open_checkpoint
from hf_soup.merging import make_plan, merge, open_ingredients
from hf_soup.methods import METHODS
from hf_soup.publishing.tensor_comparison import compare_tensors
from hf_soup.publishing.verdict import Verdict

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("method", sorted(PARAMETERS))
def test_a_merge_on_a_gpu_is_within_one_rounding_of_one_on_a_cpu(tmp_path, method, dtype):
    folders = [write_checkpoint(tmp_path / f"m{i}", model, {}) for i, model in enumerate(large_relatives(4, dtype))]
    count = METHODS[method].exactly or 3
    base = str(folders[3]) if METHODS[method].needs_base else None
    ingredients = open_ingredients([str(folder) for folder in folders[:count]], base)
    parameters = {n: v[:count] if isinstance(v, list) else v for n, v in PARAMETERS[method].items()}
    for device in ("cpu", "cuda"):
        plan = make_plan(ingredients, method, parameters, device=device, memory_bytes=2**31)
        record = merge(plan, tmp_path / device)
        assert record.device.startswith(device)
    results = [open_checkpoint(tmp_path / device) for device in ("cpu", "cuda")]
    verdicts = compare_tensors(*results, whole_tensors=False, progress=lambda nbytes: None)
    assert {verdict.verdict for verdict in verdicts} <= {Verdict.IDENTICAL, Verdict.ROUNDING}
