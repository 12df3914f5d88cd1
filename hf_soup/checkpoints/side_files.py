"""The files beside the weights that belong to the model: config, tokenizer, processor, chat template, its own code."""

from __future__ import annotations

from pathlib import PurePosixPath

from hf_soup.checkpoints.folder import ModelFolder

_KEPT_SUFFIXES = {
    ".json",
    ".jinja",
    ".model",
    ".py",
    ".spm",
    ".tiktoken",
    ".txt",
    ".vocab",
    ".bpe",
    ".codes",
    ".tokenizer",
    ".yaml",
    ".yml",
}
# Records of a training run, other tools' metadata, and files that the merge writes itself.
_LEFT_OUT = {
    "all_results.json",
    "eval_results.json",
    "train_results.json",
    "trainer_state.json",
    "training_args.json",
    "soup.json",
    "soup.yaml",
    "mergekit_config.yml",
    "requirements.txt",
    "handler.py",
    "adapter_config.json",
}
# Folders that hold parts of a model: templates of transformers, and modules of sentence-transformers without weights.
_KEPT_FOLDERS = ("additional_chat_templates", "1_Pooling", "2_Normalize", "3_Normalize")
_MAX_BYTES = 200 * 2**20


def side_files(folder: ModelFolder) -> list[str]:
    """Returns the paths of the files to copy byte for byte into a merged model, sorted."""
    return sorted(path for path, file in folder.files.items() if file.size <= _MAX_BYTES and _belongs(path))


def _belongs(path: str) -> bool:
    pure = PurePosixPath(path)
    if len(pure.parts) > 1 and pure.parts[0] not in _KEPT_FOLDERS and pure.suffix != ".py":
        return False
    if (
        pure.name.startswith(".")
        or pure.name in _LEFT_OUT
        or pure.name.lower().startswith(("readme", "license", "notice"))
    ):
        return False
    return pure.suffix in _KEPT_SUFFIXES and not path.endswith(".index.json")
