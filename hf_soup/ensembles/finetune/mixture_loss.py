"""The negative log-likelihood of a two-tier mixture, from logits, and nothing that is not needed for it.

Member i of family A says p_Aᵢ = softmax(zᵢ), or (1 − σ(z), σ(z)) from one logit. Tier 1: p_A = (1/n) Σᵢ p_Aᵢ. Tier 2:
y = Σ_A α_A p_A with α = softmax(w). The loss of a row is −ln y[its class]. Everything stays in logarithms, so that nothing
underflows; there is one softmax, and no cross entropy over what are probabilities already.
Source: AWARE-NET, arXiv 2505.00312.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hf_soup.ensembles.tiers import Tier1
from hf_soup.evaluation.labels import LabelMap

if TYPE_CHECKING:
    from torch import Tensor


def log_probabilities(logits: Tensor, found: LabelMap) -> Tensor:
    """Returns ln p [n, C] in the order of the ensemble's classes, for a model's logits [n, C] or [n, 1]."""
    import torch

    if found.one_logit:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    return torch.log_softmax(logits[:, list(found.columns)], dim=1)


def mixture_nll(
    said: Sequence[Tensor], labels: Tensor, w: Tensor, inputs: Sequence[Sequence[int]], tier1: Tier1 = "mean"
) -> Tensor:
    """Returns −ln y of each row's own class, [n].

    `said`: ln p of each member, [n, C]. `labels`: int64 [n]. `w`: [K], the logarithms of the weights up to a constant.
    `inputs[k]`: places in `said` of the members of input k, a family. `tier1`: "mean", or "logit_mean", with which a family
    says softmax of the mean of its members' ln p.
    """
    import torch

    truth = labels[:, None]
    of_inputs = []
    for members in inputs:
        if tier1 == "logit_mean":
            joined = torch.log_softmax(torch.stack([said[member] for member in members]).mean(dim=0), dim=1)
            of_inputs.append(joined.gather(1, truth)[:, 0])
        else:
            true = torch.stack([said[member].gather(1, truth)[:, 0] for member in members])
            of_inputs.append(torch.logsumexp(true, dim=0) - math.log(len(members)))
    return -torch.logsumexp(torch.stack(of_inputs) + torch.log_softmax(w, dim=0)[:, None], dim=0)
