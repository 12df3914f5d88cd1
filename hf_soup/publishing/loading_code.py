"""The lines of Python that load a published model."""

from __future__ import annotations

from typing import Any

from hf_soup.publishing.architectures import usage_of


def loading_code(config: dict[str, Any], target: str) -> str:
    """Returns code for the class that config.json asks for; `target`: Hub ID or folder.

    >>> print(loading_code({"architectures": ["ViTForImageClassification"]}, "me/soup"))
    from transformers import AutoImageProcessor, AutoModelForImageClassification
    <BLANKLINE>
    processor = AutoImageProcessor.from_pretrained("me/soup")
    model = AutoModelForImageClassification.from_pretrained("me/soup")
    """
    usage = usage_of(config)
    if usage is None:
        return "\n".join(
            [
                "from pathlib import Path",
                "",
                "from huggingface_hub import snapshot_download",
                "from safetensors.torch import load_file",
                "",
                f'folder = Path(snapshot_download("{target}"))',
                'weights = {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}',
            ]
        )
    variable = "tokenizer" if usage.preprocessor == "AutoTokenizer" else "processor"
    names = ", ".join(
        sorted({usage.preprocessor, usage.auto_class}, key=lambda name: (name.startswith("AutoModel"), name))
    )
    remote = ", trust_remote_code=True" if config.get("auto_map") else ""
    return "\n".join(
        [
            f"from transformers import {names}",
            "",
            f'{variable} = {usage.preprocessor}.from_pretrained("{target}"{remote})',
            f'model = {usage.auto_class}.from_pretrained("{target}"{remote})',
        ]
    )
