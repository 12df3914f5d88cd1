"""Where the arithmetic of a merge runs."""

from __future__ import annotations

from hf_soup.errors import InputError


def choose_device(wanted: str = "auto") -> str:
    """Returns a torch device: "auto" is the accelerator that Accelerate finds, else the CPU.

    On a CPU the result is the same on every machine; on a GPU it is within one rounding of the output dtype.
    Raises InputError for a device that this machine does not have.
    """
    if wanted == "cpu":
        return "cpu"
    import torch

    if wanted == "auto":
        if not torch.cuda.is_available():  # Accelerate takes two seconds to import, to say the same
            return "cpu"
        from accelerate import PartialState

        return str(PartialState().device)
    try:
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"The device '{wanted}' cannot be used ({str(error).splitlines()[0]}).") from error
    return wanted
