"""What is kept of `hf-soup ensemble fit --finetune` when it is interrupted or fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hf_soup.cli.output import print_warnings
from hf_soup.errors import SoupError


def trained(out: Path) -> Path:
    """Where fine-tuned members lie until they are a part of the ensemble's folder; they stay there when it cannot be written."""
    target = out.expanduser().resolve()
    return target.with_name(f"{target.name}-members")


class _Interrupted(SoupError):
    exit_code = 130


@contextmanager
def trained_are_kept(out: Path, finetune: bool) -> Iterator[None]:
    """Says, when the ensemble fails after training, where the members are, which need not be trained again.

    They are written together, after the last epoch, so that before there is nothing to go on with.
    """
    try:
        yield
    except KeyboardInterrupt:
        if not finetune:
            raise
        if trained(out).is_dir():
            raise _Interrupted(
                f"Interrupted. The fine-tuned members are complete in {trained(out)}; fit an ensemble of them."
            ) from None
        raise _Interrupted(
            "Interrupted. Nothing that was trained is kept: the same command trains anew, from the first epoch."
        ) from None
    except BaseException:
        if finetune and trained(out).is_dir():
            print_warnings([f"the fine-tuned members are complete in {trained(out)}; fit an ensemble of them."])
        raise


@contextmanager
def not_fitted_again() -> Iterator[None]:
    """The folder is complete while it is published, and the same command would not write there again."""
    try:
        yield
    except KeyboardInterrupt:
        raise _Interrupted("Interrupted before everything was published.") from None


def remove(folder: Path) -> None:
    import shutil

    from hf_soup.ranks import on_main_process

    on_main_process(lambda: shutil.rmtree(folder))
