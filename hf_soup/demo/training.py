"""Fine-tuning of one small classifier on words: the recipe LP-FT in plain PyTorch.

First a linear probe: logistic regression on the outputs of the frozen model gives a head (`shared_head`). Then all layers
but the embeddings are trained from there (`fine_tune`). All runs begin with the same head; soups of models whose heads began
at different random points can lose many points of accuracy.

Words have three to nine tokens. Batches of words of similar length leave next to no padding, which is why an epoch over
3,800 words takes some ten seconds on two CPU cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.demo.words import LABELS, Word

if TYPE_CHECKING:
    import torch
    from transformers import BertForSequenceClassification

BATCH = 64
WEIGHT_DECAY = 0.01
WARM_UP = 0.1  # of the steps; then the learning rate falls linearly to zero
_BATCHES_SORTED_TOGETHER = (
    16  # words are sorted by length within so many shuffled batches, so that a batch stays random
)


@dataclass(frozen=True)
class Encoded:
    """Token numbers of each word, without padding, and the words' classes (positions in `LABELS`)."""

    tokens: list[list[int]]
    classes: list[int]


@dataclass(frozen=True)
class Head:
    """A classifier on the pooler's output: weight [2, hidden], bias [2], float32."""

    weight: torch.Tensor
    bias: torch.Tensor


def load_tokenizer(base: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base)


def encode(tokenizer: Any, words: Sequence[Word]) -> Encoded:
    return Encoded(
        tokens=tokenizer([word.text for word in words])["input_ids"],
        classes=[LABELS.index(word.label) for word in words],
    )


def shared_head(base: Path, words: Encoded) -> Head:
    """The linear probe: logistic regression (scikit-learn, its default L2 penalty) on the pooler's outputs.

    Its one row is written as two rows of opposite sign, so that softmax gives the probabilities of the regression.
    """
    import torch
    from sklearn.linear_model import LogisticRegression

    model = _pre_trained(base).eval()
    features = torch.empty(len(words.tokens), model.config.hidden_size)
    with torch.inference_mode():
        for rows in _by_length(words.tokens, range(len(words.tokens)), 2 * BATCH):
            ids, mask = _pad([words.tokens[row] for row in rows])
            features[rows] = model.bert(input_ids=ids, attention_mask=mask).pooler_output
    probe = LogisticRegression(max_iter=2000).fit(features.numpy(), words.classes)
    row, bias = torch.from_numpy(probe.coef_[0]).float() / 2, float(probe.intercept_[0]) / 2
    return Head(weight=torch.stack([-row, row]), bias=torch.tensor([-bias, bias]))


def fine_tune(
    base: Path,
    head: Head,
    words: Encoded,
    *,
    seed: int,
    learning_rate: float,
    epochs: int,
    on_step: Callable[[], None] = lambda: None,
) -> BertForSequenceClassification:
    """The model in `base` with `head`, trained on `words` with AdamW; the embeddings stay as they are.

    `seed` decides the order of the words and the dropout; torch's global generator is left as it was found. `on_step` is
    called after each of `steps(words, epochs)` steps.
    """
    import torch

    model = _pre_trained(base)
    with torch.no_grad():
        model.classifier.weight.copy_(head.weight)
        model.classifier.bias.copy_(head.bias)
    model.bert.embeddings.requires_grad_(False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=WEIGHT_DECAY, fused=True)
    total = steps(words, epochs)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, total))
    order = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.train()
        for rows in _batches(words.tokens, epochs, order):
            ids, mask = _pad([words.tokens[row] for row in rows])
            logits = model(input_ids=ids, attention_mask=mask).logits
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor([words.classes[row] for row in rows]))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            on_step()
    return model.eval()


def steps(words: Encoded, epochs: int) -> int:
    """How many batches `epochs` passes over the words have."""
    return epochs * -(-len(words.tokens) // BATCH)


def _pre_trained(base: Path) -> BertForSequenceClassification:
    """A classifier with the weights of the base and a head of zeros, in float32.

    The weights are copied by name, because `from_pretrained` would report the missing head as if something were wrong.
    """
    import torch
    from safetensors.torch import load_file
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig.from_pretrained(
        base, id2label=dict(enumerate(LABELS)), label2id={label: place for place, label in enumerate(LABELS)}
    )
    # Not the folder's name: it would be written into config.json, and a published file must not name this machine's folders.
    config._name_or_path = ""
    with torch.random.fork_rng(devices=[]):
        model = BertForSequenceClassification(config).float()
    names = set(model.bert.state_dict())
    weights = {name: tensor for name, tensor in load_file(base / "model.safetensors").items() if name in names}
    model.bert.load_state_dict(weights)
    torch.nn.init.zeros_(model.classifier.weight)
    torch.nn.init.zeros_(model.classifier.bias)
    return model


def _rate(step: int, total: int) -> float:
    """The factor of the learning rate: up to 1 during the warm-up, then down to 0 in a straight line."""
    return min((step + 1) / max(1.0, WARM_UP * total), (total - step) / total)


def _batches(tokens: list[list[int]], epochs: int, order: torch.Generator) -> Iterator[list[int]]:
    """Row numbers of each batch: random batches of words of similar length, in random order."""
    import torch

    for _ in range(epochs):
        rows = torch.randperm(len(tokens), generator=order).tolist()
        group = BATCH * _BATCHES_SORTED_TOGETHER
        batches = [
            batch
            for start in range(0, len(rows), group)
            for batch in _by_length(tokens, rows[start : start + group], BATCH)
        ]
        for place in torch.randperm(len(batches), generator=order).tolist():
            yield batches[place]


def _by_length(tokens: list[list[int]], rows: Sequence[int], batch: int) -> list[list[int]]:
    ordered = sorted(rows, key=lambda row: len(tokens[row]))
    return [ordered[start : start + batch] for start in range(0, len(ordered), batch)]


def _pad(tokens: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token numbers and attention mask, int64, both [words, longest]; 0 is BERT's padding."""
    import torch

    ids = torch.zeros(len(tokens), max(map(len, tokens)), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, word in enumerate(tokens):
        ids[row, : len(word)] = torch.tensor(word)
        mask[row, : len(word)] = 1
    return ids, mask
