"""The dtype codes of the safetensors format: their sizes, their kinds, and their torch counterparts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

FLOATING = ("F64", "F32", "BF16", "F16")
INTEGER = ("I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")
FLOAT8 = ("F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0", "F4", "F6_E2M3", "F6_E3M2")

ITEM_SIZE: dict[str, int] = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0"), 1),
}

_TORCH_NAME = {
    "F64": "float64",
    "F32": "float32",
    "BF16": "bfloat16",
    "F16": "float16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}
_CODE = {name: code for code, name in _TORCH_NAME.items()}


def torch_dtype(code: str) -> torch.dtype:
    """Returns the torch dtype of a safetensors code, e.g. "BF16" → torch.bfloat16."""
    import torch

    return getattr(torch, _TORCH_NAME[code])


def code_of(dtype: torch.dtype) -> str:
    """Returns the safetensors code of a torch dtype. Raises KeyError for one that the format does not know."""
    return _CODE[str(dtype).removeprefix("torch.")]


def code_of_name(name: str) -> str | None:
    """Returns the code of a name as users and config.json write it ("bfloat16", "torch.float16"), or None."""
    return _CODE.get(name.removeprefix("torch."))


def name_of(code: str) -> str:
    """Returns the name that config.json uses, e.g. "BF16" → "bfloat16"."""
    return _TORCH_NAME[code]


def promote(codes: set[str]) -> str:
    """Returns the smallest floating dtype that holds all the given ones without loss (F16 with BF16 → F32)."""
    if len(codes) == 1:
        return next(iter(codes))
    if "F64" in codes:
        return "F64"
    return "F32"
