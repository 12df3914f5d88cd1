"""`.gitattributes`: which paths are large files, and the file with which the Hub starts a repository."""

from __future__ import annotations

import re
from functools import lru_cache

ATTRIBUTES_FILE = ".gitattributes"
_RULE = " filter=lfs diff=lfs merge=lfs -text\n"

_MODEL_ENDINGS = (
    "7z arrow bin bz2 ckpt ftz gz h5 joblib lfs.* mlmodel model msgpack npy npz onnx ot parquet pb pickle pkl pt pth rar"
    " safetensors"
)
_DATASET_ENDINGS = (
    "7z arrow bin bz2 ckpt ftz gz h5 joblib lfs.* lz4 mds mlmodel model msgpack npy npz onnx ot parquet pb pickle pkl pt"
    " pth rar safetensors"
)
_ARCHIVE_ENDINGS = "tar.* tar tflite tgz wasm xz zip zst"
_MEDIA_ENDINGS = {
    "Audio files - uncompressed": "pcm sam raw",
    "Audio files - compressed": "aac flac mp3 ogg wav",
    "Image files - uncompressed": "bmp gif png tiff",
    "Image files - compressed": "jpg jpeg webp",
    "Video files - compressed": "mp4 webm",
}


def initial_attributes(repo_type: str) -> bytes:
    """The file of a new repository; its bytes are those of the Hub (its git ids there are in the tests)."""
    text = _endings(_DATASET_ENDINGS if repo_type == "dataset" else _MODEL_ENDINGS)
    text += f"saved_model/**/*{_RULE}" + _endings(_ARCHIVE_ENDINGS) + f"*tfevents*{_RULE}"
    if repo_type == "dataset":
        for title, endings in _MEDIA_ENDINGS.items():
            text += f"# {title}\n" + _endings(endings)
    return text.encode()


def is_large_file(path: str, attributes: str) -> bool:
    """Whether the last rule that matches `path` says filter=lfs."""
    large = False
    for line in attributes.splitlines():
        pattern, _, settings = line.strip().partition(" ")
        if pattern and not pattern.startswith("#") and matches(pattern, path):
            large = "filter=lfs" in settings.split()
    return large


def with_rule_for(path: str, attributes: str) -> str:
    """The Hub adds a rule for a large file that no rule covers (a tokenizer.json of 17 MB, say)."""
    start = attributes if attributes.endswith("\n") or not attributes else attributes + "\n"
    return start + re.sub(r"\s", "[[:space:]]", path) + _RULE


def _endings(endings: str) -> str:
    return "".join(f"*.{ending}{_RULE}" for ending in endings.split())


def matches(pattern: str, path: str) -> bool:
    if "/" not in pattern:
        return bool(_regex(pattern).fullmatch(path.rsplit("/", 1)[-1]))
    return bool(_regex(pattern.lstrip("/")).fullmatch(path))


# Git's wildcards, longest first: any folders, any rest, anything within one name.
_WILDCARDS = {
    "[[:space:]]": r"\s",
    "/**/": "/(?:.*/)?",
    "**/": "(?:.*/)?",
    "/**": "/.*",
    "*": "[^/]*",
    "?": "[^/]",
}


@lru_cache(maxsize=1024)
def _regex(pattern: str) -> re.Pattern[str]:
    wildcard = "|".join(map(re.escape, _WILDCARDS))
    parts = re.split(f"({wildcard})", pattern)
    return re.compile("".join(_WILDCARDS.get(part, re.escape(part)) for part in parts))
