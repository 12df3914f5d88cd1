"""Whether a checkpoint is quantised: its numbers are codes then, which can be neither averaged nor added to."""

from __future__ import annotations

from hf_soup.checkpoints.checkpoint import Checkpoint

_SUFFIXES = (".qweight", ".qzeros", ".SCB", ".weight_scale_inv", ".weight_scale", ".absmax", ".quant_state")


def quantised_how(model: Checkpoint) -> str | None:
    """Returns how one sees it, from config and headers ("config.json has …"); None for a checkpoint that is not quantised."""
    if config := model.config.get("quantization_config"):
        kind = config.get("quant_method") if isinstance(config, dict) else None
        return f"config.json has a quantization_config ({kind or 'unnamed method'})"
    found = next((name for name in model.names() if name.endswith(_SUFFIXES)), None)
    return f"it has the tensor '{found}'" if found else None
