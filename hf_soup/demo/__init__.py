"""SHOW: the main job, end to end, with real models and real data, on a Hub of one's own.

What comes in: nothing but the packages of the extra `demo`, which carry a pre-trained MiniLM, words that people have rated,
and adjectives of another lexicon. What goes out: five fine-tunes, three LoRA adapters and their soups as repositories of a
loopback Hub, and a story of what was measured on the way.

- `ingredients`  where the model and the lexicons lie in the installed packages
- `words`        the lexicons → four CSV files: train, held-out, test, and a natural shift
- `training`     one shared head, then fine-tuning of one model, in full or by LoRA: plain PyTorch
- `fine_tunes`   the start, five fine-tunes and three adapters, made once and kept in the cache
- `cards`        the model cards of what is trained
- `training_bar` how far it is, on standard error
- `places`       the demo's folders and the environment of a process that knows only the loopback Hub
- `story`        what happens between the Hub IDs and the published soups, told while it happens
- `farewell`     what it says last: what lies where, and how to go on
- `run`          `run_demo`: starts the Hub, lets the story run in a process of its own, stops the Hub

The demo comes after every other room and uses them only as a user would: through `hf_soup`'s public names.
"""

from __future__ import annotations

from hf_soup.demo.run import run_demo

__all__ = ["run_demo"]
