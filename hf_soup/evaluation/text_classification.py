"""Text classification: columns text, label, and text_pair where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.evaluation.labels import LabelMap
from hf_soup.evaluation.predictions import Kind, Predictions
from hf_soup.evaluation.quiet import quiet_transformers
from hf_soup.evaluation.task import Encoded, Example, Task, task
from hf_soup.evaluation.tokenizers import longest_input, open_tokenizer, report_cut

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Classification(Task):
    """What text and image classification share: one row of logits for each example."""

    kind = Kind.CLASSIFICATION
    default_metric = "accuracy"

    def forward(self, model: Any, inputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        return {"logits": model(**inputs).logits.float().cpu().numpy()}

    def predictions(
        self,
        ids: Sequence[str],
        examples: Sequence[Example],
        outputs: Mapping[str, np.ndarray],
        label_map: LabelMap | None,
    ) -> Predictions:
        import numpy as np

        assert label_map is not None
        return Predictions(
            ids=np.array(ids),
            classes=label_map.classes,
            labels=label_map.indices([example["label"] for example in examples]),
            logits=label_map.arrange(outputs["logits"]),
        )


@task("text-classification")
class TextClassification(Classification):
    required = ("text", "label")
    optional = ("text_pair",)
    auto_class = "AutoModelForSequenceClassification"
    batch_size = 64

    def preprocessor(self, folder: Path, trust_remote_code: bool) -> Any:
        return open_tokenizer(folder, trust_remote_code)

    def encode(
        self, examples: Sequence[Example], preprocessor: Any, config: Any, *, max_length: int | None
    ) -> Encoded:
        return TokenisedTexts(examples, preprocessor, config, max_length)


class TokenisedTexts(Encoded):
    """Texts (or pairs) tokenised once; a batch is padded to its longest row by the tokenizer's own rule."""

    def __init__(self, examples: Sequence[Example], tokenizer: Any, config: Any, max_length: int | None) -> None:
        self.tokenizer = tokenizer
        limit = longest_input(self.tokenizer, config, max_length)
        texts = [example["text"] for example in examples]
        pairs = [example["text_pair"] for example in examples] if "text_pair" in examples[0] else None
        with quiet_transformers():
            self.features = self.tokenizer(texts, pairs)
        report_cut([len(ids) for ids in self.features["input_ids"]], limit)
        if limit is not None and any(len(ids) > limit for ids in self.features["input_ids"]):
            self.features = self.tokenizer(texts, pairs, truncation=True, max_length=limit)
        self.lengths = [len(ids) for ids in self.features["input_ids"]]
        padless = self.tokenizer.pad_token_id is None or getattr(config, "pad_token_id", None) is None
        # Decoders look for the last token that is not padding; without a padding token they take one row at a time.
        self.most_rows = 1 if padless else None

    def batch(self, rows: Sequence[int]) -> dict[str, Tensor]:
        features = {name: [values[row] for row in rows] for name, values in self.features.items()}
        with quiet_transformers():
            return dict(self.tokenizer.pad(features, padding=len(rows) > 1, return_tensors="pt"))
