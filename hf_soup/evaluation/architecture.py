"""The transformers config and class of a checkpoint, from its config.json, without its weights."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hf_soup.checkpoints import Checkpoint
from hf_soup.errors import InputError
from hf_soup.evaluation.quiet import quiet_transformers
from hf_soup.evaluation.tokenizers import first_line


def model_class(checkpoint: Checkpoint, auto_class: str | None, trust_remote_code: bool) -> tuple[type, Any]:
    """Returns (class, config) that `from_pretrained` would take for this checkpoint.

    `auto_class`: the AutoModel of the task; without it the class that config.json names. Raises InputError when transformers
    has no such model for the task, or the model needs code of its own that the user has not allowed.
    """
    import torch
    import transformers

    if "model_type" not in checkpoint.config and "auto_map" not in checkpoint.config:
        raise InputError(
            f"{checkpoint.label}: its config.json is missing or names no model_type, so it cannot be run."
        )
    if checkpoint.config.get("quantization_config"):
        raise InputError(f"{checkpoint.label}: is quantised (config.json); judge the checkpoint in 16 or 32 bits.")
    named = checkpoint.config.get("architectures") or ["?"]
    with _config_folder(checkpoint) as folder, quiet_transformers():
        try:
            config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
            # A class that is built but not run: on the meta device it takes no memory.
            with torch.device("meta"):
                if auto_class is not None:
                    auto = getattr(transformers, auto_class)
                    model = auto.from_config(config, trust_remote_code=trust_remote_code)
                elif hasattr(transformers, named[0]):
                    model = getattr(transformers, named[0])(config)
                else:
                    raise InputError(
                        f"{checkpoint.label}: transformers {transformers.__version__} has no class {named[0]}; say which task it is for."
                    )
        except (ValueError, OSError, ImportError, KeyError) as error:
            if "trust_remote_code" in str(error):
                raise InputError(
                    f"{checkpoint.label}: this model brings code of its own; read it, and pass trust_remote_code=True if you trust it."
                ) from error
            raise InputError(
                f"{checkpoint.label} ({named[0]}): cannot be loaded as {auto_class or named[0]} ({first_line(error)})."
            ) from error
    return type(model), model.config


@contextmanager
def _config_folder(checkpoint: Checkpoint) -> Iterator[Path]:
    """A folder with this checkpoint's config and code. Those of a merge differ from the files that it took over."""
    folder = checkpoint.side_folder()
    path = folder / "config.json"
    if path.is_file() and json.loads(path.read_bytes()) == checkpoint.config:
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        for code in folder.glob("*.py"):
            shutil.copy(code, temporary)
        Path(temporary, "config.json").write_text(json.dumps(checkpoint.config), encoding="utf-8")
        yield Path(temporary)
