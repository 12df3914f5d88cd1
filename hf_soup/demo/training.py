"""Fine-tuning of one small classifier on words: the recipe LP-FT in plain PyTorch.

First a linear probe: logistic regression on the outputs of the frozen model gives a head (`linear_probe`). From there all
layers but the embeddings are trained (`fine_tune`), or LoRA updates of the attention and the head (`fine_tune_lora`), in one
and the same loop. All runs begin with the same head; soups of models whose heads began at different random points can lose
many points of accuracy.

Words have three to nine tokens. Batches of words of similar length leave next to no padding, which is why an epoch over
3,800 words takes some ten seconds on two CPU cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.demo.words import LABELS, Word

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import BertForSequenceClassification

BATCH = 64
WEIGHT_DECAY = 0.01
LORA_TARGETS = r".*\.layer\.[345]\.attention\.self\.(query|value)"
"""A pattern and not a list: PEFT keeps a set, whose order in adapter_config.json differs from process to process."""
WARM_UP = 0.1  # of the steps; then the learning rate falls linearly to zero
_BATCHES_SORTED_TOGETHER = (
    16  # words are sorted by length within so many shuffled batches, so that a batch stays random
)


@dataclass(frozen=True)
class Encoded:
    """Token numbers of each word, without padding, and the words' classes (positions in `LABELS`)."""

    tokens: list[list[int]]
    classes: list[int]


def load_tokenizer(base: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base)


def encode(tokenizer: Any, words: Sequence[Word]) -> Encoded:
    return Encoded(
        tokens=tokenizer([word.text for word in words])["input_ids"],
        classes=[LABELS.index(word.label) for word in words],
    )


def linear_probe(pre_trained: Path, words: Encoded) -> BertForSequenceClassification:
    """The model in `pre_trained` with a head: logistic regression (scikit-learn, its default L2 penalty) on its pooler's outputs.

    Its one row is written as two rows of opposite sign, so that softmax gives the probabilities of the regression.
    """
    import torch
    from sklearn.linear_model import LogisticRegression

    model = _headless(pre_trained).eval()
    features = torch.empty(len(words.tokens), model.config.hidden_size)
    with torch.inference_mode():
        for rows in _by_length(words.tokens, range(len(words.tokens)), 2 * BATCH):
            ids, mask = _pad([words.tokens[row] for row in rows])
            features[rows] = model.bert(input_ids=ids, attention_mask=mask).pooler_output
    probe = LogisticRegression(max_iter=2000).fit(features.numpy(), words.classes)
    row, bias = torch.from_numpy(probe.coef_[0]).float() / 2, float(probe.intercept_[0]) / 2
    with torch.no_grad():
        model.classifier.weight.copy_(torch.stack([-row, row]))
        model.classifier.bias.copy_(torch.tensor([-bias, bias]))
    return model


def fine_tune(
    start: Path,
    words: Encoded,
    *,
    seed: int,
    learning_rate: float,
    epochs: int,
    on_step: Callable[[], None] = lambda: None,
) -> BertForSequenceClassification:
    """The classifier in `start`, trained on `words`; the embeddings stay as they are.

    `seed` decides the order of the words and the dropout; torch's global generator is left as it was found. `on_step` is
    called after each of `steps(words, epochs)` steps.
    """
    with _seeded(seed):
        model = _classifier(start)
        model.bert.embeddings.requires_grad_(False)
        _train(model, words, seed, learning_rate, epochs, on_step)
    return model.eval()


def fine_tune_lora(
    start: Path,
    words: Encoded,
    *,
    base: str,
    rank: int,
    alpha: int,
    seed: int,
    learning_rate: float,
    epochs: int,
    on_step: Callable[[], None] = lambda: None,
) -> PeftModel:
    """The classifier in `start` with an adapter of PEFT, trained on `words`: updates of rank `rank`, and the head.

    `base`: what the adapter calls the model in `start`. The updates are of queries and values of the attention, as
    in the LoRA paper, in the upper half of the layers (so that the gradients end there), scaled by alpha / rank; that a classifier's head is trained and saved in full is PEFT's rule. `seed` also
    decides how the updates begin. The rest as in `fine_tune`.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    with _seeded(seed):
        config = LoraConfig(task_type=TaskType.SEQ_CLS, r=rank, lora_alpha=alpha, target_modules=LORA_TARGETS)
        model = get_peft_model(_classifier(start), config)
        model.active_peft_config.base_model_name_or_path = base
        _train(model, words, seed, learning_rate, epochs, on_step)
    return model.eval()


def steps(words: Encoded, epochs: int) -> int:
    """How many batches `epochs` passes over the words have."""
    return epochs * -(-len(words.tokens) // BATCH)


def _train(
    model: BertForSequenceClassification | PeftModel,
    words: Encoded,
    seed: int,
    learning_rate: float,
    epochs: int,
    on_step: Callable[[], None],
) -> None:
    """Trains the parameters that require a gradient, with AdamW."""
    import torch

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=WEIGHT_DECAY, fused=True)
    total = steps(words, epochs)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, total))
    order = torch.Generator().manual_seed(seed)
    # The dropout begins with the seed, whatever was drawn while the model was made.
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


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Torch's global generator begins with `seed` in the block and is afterwards what it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _classifier(start: Path) -> BertForSequenceClassification:
    from transformers import BertForSequenceClassification

    return _unnamed(BertForSequenceClassification.from_pretrained(start))


def _headless(pre_trained: Path) -> BertForSequenceClassification:
    """A classifier with the weights of the pre-trained model and a head of zeros, in float32.

    The weights are copied by name, because `from_pretrained` would report the missing head as if something were wrong.
    """
    import torch
    from safetensors.torch import load_file
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig.from_pretrained(
        pre_trained, id2label=dict(enumerate(LABELS)), label2id={label: place for place, label in enumerate(LABELS)}
    )
    with torch.random.fork_rng(devices=[]):
        model = BertForSequenceClassification(config).float()
    names = set(model.bert.state_dict())
    weights = {name: tensor for name, tensor in load_file(pre_trained / "model.safetensors").items() if name in names}
    model.bert.load_state_dict(weights)
    torch.nn.init.zeros_(model.classifier.weight)
    torch.nn.init.zeros_(model.classifier.bias)
    return _unnamed(model)


def _unnamed(model: BertForSequenceClassification) -> BertForSequenceClassification:
    """Without the folder's name: it would be written into config.json, and a published file must not name this machine's folders."""
    model.config._name_or_path = ""
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
