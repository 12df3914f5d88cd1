"""A plan for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_soup.merging.tensors import Rule
from hf_soup.sizes import format_size

if TYPE_CHECKING:
    from hf_soup.merging.plan import Plan


def plan_as_json(plan: Plan) -> dict[str, Any]:
    return {
        "method": plan.method.name,
        "parameters": plan.parameters,
        "ingredients": [_ingredient(plan, place) for place in range(len(plan.models))],
        "base": plan.base.label if plan.base else None,
        "dtype": plan.dtype,
        "device": plan.device,
        "tensors": len(plan.tensors),
        "combined": sum(tensor.rule is Rule.COMBINE for tensor in plan.tensors),
        "files": [
            {"name": file.name, "bytes": file.nbytes, "tensors": len(file.offsets)} for file in plan.layout.files
        ],
        "bytes_to_download": plan.bytes_to_download,
        "bytes_to_read": plan.bytes_to_read,
        "bytes_to_write": plan.bytes_to_write,
        "memory_bytes": plan.memory_bytes,
        "workers": plan.workers,
        "problems": list(plan.problems),
        "warnings": list(plan.warnings),
    }


def plan_as_text(plan: Plan) -> str:
    facts = plan_as_json(plan)
    lines = [f"{facts['method']} of {len(plan.models)} models, on {facts['device']}"]
    for row in facts["ingredients"]:
        values = ", ".join(f"{name}={value:g}" for name, value in row["parameters"].items())
        lines.append(f"  {row['label']}  {format_size(row['bytes'])}  {values}")
    if plan.base:
        lines.append(f"  base: {plan.base.label}")
    files = facts["files"]
    lines += [
        f"tensors:   {facts['tensors']}, of which {facts['tensors'] - facts['combined']} are copied",
        f"download:  {format_size(facts['bytes_to_download'])}",
        f"read:      {format_size(facts['bytes_to_read'])}",
        f"write:     {format_size(facts['bytes_to_write'])} in {len(files)} file{'s' if len(files) > 1 else ''}",
        f"buffers:   {format_size(facts['memory_bytes'])} in {facts['workers']} workers",
        "unchecked: common ancestor, NaN and zeros (the probe reads a sample before the merge)",
    ]
    lines += [f"warning: {warning}" for warning in plan.warnings]
    lines += [f"problem: {problem}" for problem in plan.problems]
    return "\n".join(lines)


def _ingredient(plan: Plan, place: int) -> dict[str, Any]:
    model = plan.models[place]
    per_model = {name: plan.parameters[name][place] for name in plan.method.per_model if name in plan.parameters}
    return {
        "label": model.label,
        "fingerprint": model.fingerprint,
        "bytes": sum(file.size for file in model.weight_files()),
        "parameters": per_model,
    }
