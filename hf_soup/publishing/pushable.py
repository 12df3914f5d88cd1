"""The method by which a finished result is published from Python."""

from __future__ import annotations

from pathlib import Path

from hf_soup.ranks import on_main_process


class Pushable:
    """Gives `push_to_hub` to a result in the local folder `path`. `token`: the one that it was made with, if any."""

    path: Path
    token: str | bool | None = None

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        create_pr: bool = False,
        revision: str | None = None,
        license: str | None = None,
        name_private: bool = False,
        token: str | bool | None = None,
    ) -> str:
        """Publishes the folder and returns the URL of the commit or pull request. See `hf_soup.publishing.push`."""
        from hf_soup.publishing.pushing import push

        return on_main_process(
            lambda: push(
                self.path,
                repo_id,
                private=private,
                create_pr=create_pr,
                revision=revision,
                license=license,
                name_private=name_private,
                token=self.token if token is None else token,
            )
        )
