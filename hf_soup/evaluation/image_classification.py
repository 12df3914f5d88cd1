"""Image classification: columns image and label."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.errors import InputError
from hf_soup.evaluation.quiet import quiet_transformers
from hf_soup.evaluation.task import Encoded, Example, task
from hf_soup.evaluation.text_classification import Classification
from hf_soup.evaluation.tokenizers import first_line

if TYPE_CHECKING:
    from torch import Tensor

_KEPT_BYTES = 512 * 2**20


@task("image-classification")
class ImageClassification(Classification):
    required = ("image", "label")
    auto_class = "AutoModelForImageClassification"
    batch_size = 32

    def preprocessor(self, folder: Path, trust_remote_code: bool) -> Any:
        from transformers import AutoImageProcessor

        try:
            with quiet_transformers():
                # Pillow and not torchvision: results must not depend on what happens to be installed.
                return AutoImageProcessor.from_pretrained(folder, backend="pil", trust_remote_code=trust_remote_code)
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            raise InputError(
                f"{folder}: has no image processor that transformers can open ({first_line(error)})."
            ) from error

    def encode(
        self, examples: Sequence[Example], preprocessor: Any, config: Any, *, max_length: int | None
    ) -> Encoded:
        return ProcessedImages([example["image"] for example in examples], preprocessor, config)


class ProcessedImages(Encoded):
    """Images, processed when they are first needed; the first 512 MiB of them are kept for the next model."""

    def __init__(self, images: Sequence[Any], processor: Any, config: Any) -> None:
        self.processor = processor
        self.images = images
        self.lengths = [1] * len(images)
        self.mode = "L" if getattr(config, "num_channels", 3) == 1 else "RGB"
        self._kept: dict[int, Tensor] = {}
        self._free = _KEPT_BYTES

    def batch(self, rows: Sequence[int]) -> dict[str, Tensor]:
        import torch

        return {"pixel_values": torch.stack([self._pixels(row) for row in rows])}

    def _pixels(self, row: int) -> Tensor:
        if row in self._kept:
            return self._kept[row]
        pixels: Tensor = self.processor(images=self._open(row), return_tensors="pt")["pixel_values"][0]
        if pixels.nbytes <= self._free:
            self._free -= pixels.nbytes
            self._kept[row] = pixels
        return pixels

    def _open(self, row: int) -> Any:
        from PIL import Image

        source = self.images[row]
        if isinstance(source, bytes):
            source = io.BytesIO(source)
        if not isinstance(source, io.BytesIO | Path):
            return source.convert(self.mode)
        with Image.open(source) as image:
            return image.convert(self.mode)
