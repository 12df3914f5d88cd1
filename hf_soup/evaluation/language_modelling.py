"""Causal language models: the likelihood of texts, in nats per token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.errors import InputError
from hf_soup.evaluation.labels import LabelMap
from hf_soup.evaluation.predictions import Kind, Predictions
from hf_soup.evaluation.quiet import quiet_transformers
from hf_soup.evaluation.task import Encoded, Example, Task, task
from hf_soup.evaluation.tokenizers import longest_input, open_tokenizer, report_cut

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@task("causal-lm", "text-generation")
class LanguageModelling(Task):
    """Each row's text is scored from its second token on (the first one only where the tokenizer puts a start before it)."""

    kind = Kind.LANGUAGE
    required = ("text",)
    auto_class = "AutoModelForCausalLM"
    default_metric = "nll"
    batch_size = 8

    def preprocessor(self, folder: Path, trust_remote_code: bool) -> Any:
        return open_tokenizer(folder, trust_remote_code)

    def encode(
        self, examples: Sequence[Example], preprocessor: Any, config: Any, *, max_length: int | None
    ) -> Encoded:
        return RightPaddedTexts([example["text"] for example in examples], preprocessor, config, max_length)

    def forward(self, model: Any, inputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        import torch

        logits = model(**inputs, use_cache=False).logits[:, :-1].float()
        targets, predicted = inputs["input_ids"][:, 1:], inputs["attention_mask"][:, 1:].bool()
        nats = torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
        # float32 per token, summed in float64 on the CPU: not every accelerator has float64.
        summed = torch.where(predicted, nats, 0.0).cpu().double().sum(dim=1)
        return {"nll": summed.numpy(), "tokens": predicted.sum(dim=1).cpu().numpy()}

    def predictions(
        self,
        ids: Sequence[str],
        examples: Sequence[Example],
        outputs: Mapping[str, np.ndarray],
        label_map: LabelMap | None,
    ) -> Predictions:
        import numpy as np

        return Predictions(ids=np.array(ids), nll=outputs["nll"], tokens=outputs["tokens"])


class RightPaddedTexts(Encoded):
    """Texts tokenised once and padded at the end, where a causal model does not look, so no padding token is needed."""

    def __init__(self, texts: Sequence[str], tokenizer: Any, config: Any, max_length: int | None) -> None:
        limit = longest_input(tokenizer, config, max_length)
        with quiet_transformers():
            whole = tokenizer(list(texts))["input_ids"]
        report_cut([len(ids) for ids in whole], limit)
        self.rows = [ids[:limit] for ids in whole]
        self.lengths = [len(ids) for ids in self.rows]
        self.padding = tokenizer.pad_token_id or 0
        if max(self.lengths) < 2:
            raise InputError("Every text is one token: there is nothing that a language model could predict.")

    def batch(self, rows: Sequence[int]) -> dict[str, Tensor]:
        import torch

        width = max(2, *(self.lengths[row] for row in rows))
        ids = torch.full((len(rows), width), self.padding)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for place, row in enumerate(rows):
            ids[place, : self.lengths[row]] = torch.tensor(self.rows[row])
            mask[place, : self.lengths[row]] = 1
        return {"input_ids": ids, "attention_mask": mask}
