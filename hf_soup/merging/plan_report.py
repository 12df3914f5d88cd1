"""A plan for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_soup.merging.adapter_health import adapters_of
from hf_soup.merging.tensor_values import write_value
from hf_soup.sizes import format_size

if TYPE_CHECKING:
    from hf_soup.merging.plan import Plan

_SHOWN_FILES = 12


def plan_as_json(plan: Plan) -> dict[str, Any]:
    return {
        "method": plan.method.name,
        "parameters": plan.parameters.to_json() if plan.parameters is not None else None,
        "ingredients": [_ingredient(plan, place) for place in range(len(plan.models))],
        "base": plan.base.label if plan.base else None,
        "dtype": plan.dtype,
        "device": plan.device,
        "tensors": len(plan.tensors),
        "combined": sum(not tensor.copied for tensor in plan.tensors),
        "files": [
            {"name": file.name, "bytes": file.nbytes, "tensors": len(file.offsets)} for file in plan.layout.files
        ],
        "bytes_to_download": plan.bytes_to_download,
        "bytes_to_read": plan.bytes_to_read,
        "bytes_to_write": plan.bytes_to_write,
        "disk_bytes": plan.bytes_to_download + plan.bytes_to_write,
        "streams": plan.streams,
        "requests": plan.requests,
        "memory_bytes": plan.memory_bytes,
        "workers": plan.workers,
        "problems": [*plan.problems, *plan.doubts],
        "warnings": list(plan.warnings),
    }


def plan_as_text(plan: Plan) -> str:
    facts = plan_as_json(plan)
    lines = [f"{facts['method']} of {len(plan.models)} model{'s' * (len(plan.models) > 1)}, on {facts['device']}", ""]
    rows = [["model", "size", *facts["ingredients"][0]["parameters"]]]
    for row in facts["ingredients"]:
        rows.append([row["label"], format_size(row["bytes"]), *map(_shown, row["parameters"].values())])
    if plan.base:
        size = format_size(sum(file.size for file in plan.base.weight_files()))
        rows.append([f"{plan.base.label} (base)", size])
    lines += [*_table(rows), ""]
    files = [[file["name"], format_size(file["bytes"]), f"{file['tensors']} tensors"] for file in facts["files"]]
    more = [[f"and {len(files) - _SHOWN_FILES} files more", "", ""]] if len(files) > _SHOWN_FILES else []
    lines += [*_table([["output", "size", ""], *files[:_SHOWN_FILES], *more]), ""]
    streamed = f", streamed in about {plan.requests} requests" if plan.streams else ""
    lines += [
        f"tensors:   {facts['tensors']}, of which {facts['tensors'] - facts['combined']} are copied",
        f"download:  {format_size(facts['bytes_to_download'])}",
        f"read:      {format_size(facts['bytes_to_read'])}{streamed}",
        f"write:     {format_size(facts['bytes_to_write'])} in {len(files)} file{'s' if len(files) > 1 else ''}",
        f"disk:      {format_size(facts['disk_bytes'])}",
        f"buffers:   {format_size(facts['memory_bytes'])} in {facts['workers']} workers",
        *_adapters(plan),
        "unchecked: common ancestor, NaN and zeros (the probe reads a sample before the merge)",
    ]
    lines += [f"warning: {warning}" for warning in plan.warnings]
    lines += [f"problem: {problem}" for problem in facts["problems"]]
    return "\n".join(lines)


def _adapters(plan: Plan) -> list[str]:
    adapters = adapters_of(plan.sources)
    if not adapters:
        return []
    later = sum(adapter.tensors.bytes_to_download() > 0 for adapter in adapters)
    more = f"; {later} of them when they are on this disk" if later else ""
    return [f"adapters:  {len(adapters)}, checked as a whole: NaN, never trained, scale{more}"]


def _table(rows: list[list[str]]) -> list[str]:
    """Columns as wide as their widest cell, the first one to the left, the others to the right."""
    columns = max(map(len, rows))
    filled = [[*row, *[""] * (columns - len(row))] for row in rows]
    widths = [max(len(row[column]) for row in filled) for column in range(columns)]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in filled
    ]


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | int) else str(value)


def _ingredient(plan: Plan, place: int) -> dict[str, Any]:
    model = plan.models[place]
    values = plan.parameters.template if plan.parameters is not None else {}
    per_model = {name: write_value(values[name][place]) for name in sorted(plan.method.per_model & set(values))}
    return {
        "label": model.label,
        "fingerprint": model.fingerprint,
        "bytes": sum(file.size for file in model.weight_files()),
        "parameters": per_model,
    }
