"""The methods by which an ensemble is saved, published, loaded again and described."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, cast

from hf_soup.ranks import on_main_process

if TYPE_CHECKING:
    from hf_soup.checkpoints.folder import ModelFolder
    from hf_soup.ensembles.ensemble import Ensemble
    from hf_soup.ensembles.record import EnsembleRecord, MemberRecord


class Published:
    """Gives an ensemble `save`, `push_to_hub` and `from_pretrained`. `record`: that it was loaded or saved with, if any."""

    token: str | bool | None
    record: EnsembleRecord | None = None
    grouped_by: str | None = None
    """The column from which the groups of given predictions came, for the record."""
    loaded_from: ModelFolder | None = None
    """The folder or commit that it was loaded from."""
    bundled: Mapping[str, MemberRecord] = MappingProxyType({})
    """What was recorded of the members that lie there: what they are copies of."""
    _saved: tuple[Path | None, Any] | None = None
    """The folder where it was saved last (None: that it was loaded from), and the combination that it had then."""

    @classmethod
    def from_pretrained(
        cls,
        target: str | Path,
        *,
        members: Mapping[str, Any] | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        **options: Any,
    ) -> Self:
        """Loads a saved ensemble from a folder or a repository (`me/ensemble`, `me/ensemble@v1`).

        The record names every member at its commit; none is downloaded before it is asked, and no code of the repository is run.
        `members`: those that the record cannot name: folders or `REPO@COMMIT` for models that were folders or whose names are
        withheld, functions for members that were functions. `options`: those of `Ensemble`: on_missing, device, memory,
        trust_remote_code. Raises InputError for a folder that holds no ensemble, a record that contradicts itself (weights of
        another ensemble), members that must be given and are not, or that are not the recorded ones.
        """
        from hf_soup.ensembles.loading import load_ensemble

        return cast(
            "Self",
            load_ensemble(target, members=members, token=token, revision=revision, cache_dir=cache_dir, **options),
        )

    def save(
        self, path: str | Path, *, bundle: bool = False, overwrite: bool = False, license: str | None = None
    ) -> Path:
        """Writes the ensemble into a folder and returns it: record, card, pictures, metrics; with `bundle` the members too.

        One that was loaded from a bundle is saved as a bundle, and so is one with fine-tuned members, which lie nowhere else. The
        folder gets its name when it is complete. `license`: the Hub's identifier, where the members' differ. Raises InputError when
        there are no weights yet, a member is missing, or the folder exists and is not to be overwritten.
        """
        from hf_soup.ensembles.saving import save_ensemble

        ensemble = cast("Ensemble", self)
        folder, self.record = save_ensemble(ensemble, Path(path), bundle=bundle, overwrite=overwrite, license=license)
        self._saved = (folder, ensemble.combination)
        return folder

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        create_pr: bool = False,
        revision: str | None = None,
        license: str | None = None,
        name_private: bool = False,
        bundle: bool = False,
        publish_private_weights: bool = False,
        token: str | bool | None = None,
    ) -> str:
        """Publishes the ensemble and returns the URL of the commit or pull request. See `hf_soup.publishing.push`.

        The folder where it was saved last, or that it was loaded from, is what is published, with a card that was edited there; an
        ensemble that was not saved, or that was fitted again since, is saved for the purpose. Raises InputError, before anything is
        sent, for a bundle with the weights of a private member, or with what was trained from them, on its way to a public repository,
        unless `publish_private_weights`.
        """
        from hf_soup.publishing.pushing import push

        def send(folder: Path) -> str:
            return on_main_process(
                lambda: push(
                    folder,
                    repo_id,
                    private=private,
                    create_pr=create_pr,
                    revision=revision,
                    license=license,
                    name_private=name_private,
                    publish_private_weights=publish_private_weights,
                    token=self.token if token is None else token,
                )
            )

        if (saved := self._saved_folder(bundle)) is not None:
            return send(saved)
        with tempfile.TemporaryDirectory(prefix="hf-soup-") as scratch:
            return send(self.save(Path(scratch) / repo_id.rpartition("/")[2], bundle=bundle, license=license))

    def _saved_folder(self, bundle: bool) -> Path | None:
        """The folder that holds the ensemble as it is now, with the members where that is wanted; None where there is none."""
        if self._saved is None or self._saved[1] is not cast("Ensemble", self).combination:
            return None
        if bundle and (self.record is None or not self.record.is_bundle):
            return None
        if self._saved[0] is not None:
            return self._saved[0] if self._saved[0].is_dir() else None
        assert self.loaded_from is not None
        return self.loaded_from.fetch(self.loaded_from.files)
