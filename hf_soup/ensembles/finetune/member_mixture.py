"""All members and the weights of their mixture as one module, so that one backward pass reaches everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hf_soup.ensembles.finetune.mixture_loss import log_probabilities, mixture_nll
from hf_soup.ensembles.tiers import Tier1
from hf_soup.evaluation.labels import LabelMap


class MemberMixture(nn.Module):
    """`inputs[k]`: places of the members of what the second tier weighs k-th. `encodings[i]`: which of the batch's inputs member
    i takes. The weights begin equal."""

    def __init__(
        self,
        models: Sequence[nn.Module],
        maps: Sequence[LabelMap],
        inputs: Sequence[Sequence[int]],
        encodings: Sequence[int],
        tier1: Tier1 = "mean",
    ) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)
        self.w = nn.Parameter(torch.zeros(len(inputs), device=next(models[0].parameters()).device))
        self._maps, self._inputs, self._encodings, self._tier1 = maps, inputs, encodings, tier1

    def forward(self, batch: Sequence[Mapping[str, Tensor]], labels: Tensor) -> Tensor:
        """Returns the negative log-likelihood of each row, [n]. `batch`: the rows in each encoding."""
        places = zip(self.models, self._encodings, strict=True)
        return self.nll([model(**batch[place]).logits.float() for model, place in places], labels, self.w)

    def nll(self, logits: Sequence[Tensor], labels: Tensor, w: Tensor) -> Tensor:
        """The same from the members' logits, in their precision."""
        said = [log_probabilities(each, found) for each, found in zip(logits, self._maps, strict=True)]
        return mixture_nll(said, labels, w, self._inputs, self._tier1)

    def weights(self) -> list[float]:
        """α = softmax(w), which sum to 1."""
        found: Any = torch.softmax(self.w.detach().cpu().double(), dim=0).tolist()
        return list(found)
