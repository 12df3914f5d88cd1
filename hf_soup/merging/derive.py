"""From a record back to the weights: the same arithmetic in the recorded order, computed on read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hf_soup.checkpoints import Checkpoint
from hf_soup.checkpoints.dtypes import code_of_name
from hf_soup.errors import InputError
from hf_soup.merging.combination import Combination
from hf_soup.merging.positions import positions_of_text
from hf_soup.merging.record import ARITHMETIC, SoupRecord
from hf_soup.merging.tensor_parameters import TensorParameters
from hf_soup.merging.tensors import MergedTensor, Rule, match_tensors, may_be_shared
from hf_soup.merging.virtual import VirtualCheckpoint
from hf_soup.methods import MergeMethod, method_named


def derive(record: SoupRecord, models: Sequence[Checkpoint], base: Checkpoint | None = None) -> VirtualCheckpoint:
    """Returns what the record says the published weights are, without looking at the published weights.

    `models`: the recorded ingredients in the recorded order. What the record calls shared is copied from one of them, wherever
    they are read from now; `unequal_sources` finds out whether all have it. Raises InputError for a record of another arithmetic,
    of an unknown method or with parameters that do not fit, and when the ingredients cannot be merged.
    """
    if record.arithmetic != ARITHMETIC:
        raise InputError(
            f"The record was made with version {record.arithmetic} of the arithmetic, this is version {ARITHMETIC}; "
            f"install hf-soup {record.hf_soup} to verify it."
        )
    if len(models) != len(record.ingredients):
        raise InputError(f"The record names {len(record.ingredients)} ingredients, {len(models)} were given.")
    method = method_named(record.method)
    code = code_of_name(record.dtype) if record.dtype else None
    # The first model decides about names where there is no base; in the record that is the donor, wherever it stands.
    lead = list(range(len(models)))
    if record.donor is not None:
        lead.insert(0, lead.pop(record.donor))
    tensors, problems = match_tensors([models[i] for i in lead], base, code)
    if problems:
        raise InputError(problems)
    combined = [tensor.info.name for tensor in tensors if tensor.rule is Rule.COMBINE]
    parameters = TensorParameters.from_json(method, len(models), record.parameters, combined)
    back = [lead.index(i) for i in range(len(models))]
    tensors = _with_recorded(record, [tensor.permuted(back) for tensor in tensors], models[0], method, parameters)
    donor = base if record.donor is None else models[record.donor]
    if donor is None:
        raise InputError("The record copies its files from a base model, and none is recorded.")
    # The recorded fingerprints: what random methods drew by, wherever the models are read from now.
    fingerprints = [ingredient.fingerprint for ingredient in record.ingredients]
    combination = Combination(method, parameters, models, base, record.donor, fingerprints=fingerprints)
    return VirtualCheckpoint(combination, tensors, donor.config, donor)


def _with_recorded(
    record: SoupRecord,
    tensors: Sequence[MergedTensor],
    first: Checkpoint,
    method: MergeMethod,
    parameters: TensorParameters,
) -> list[MergedTensor]:
    """Marks what the record calls shared. Sorted names have the same positions here and there, or the models are others."""
    try:
        shared = positions_of_text(record.shared, len(tensors))
    except ValueError as error:
        raise InputError(f"The record says wrongly which tensors were shared: {error}.") from error
    marked = [replace(tensor, shared=place in shared) for place, tensor in enumerate(tensors)]
    for tensor in marked:
        if tensor.shared and not may_be_shared(tensor, first, method, parameters):
            raise InputError(
                f"The record says that '{tensor.info.name}' was copied, but the method {method.name} with these parameters computes "
                "it; the record was altered."
            )
    return marked
