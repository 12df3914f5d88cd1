"""What the answers are made from: the folder, its repositories and accounts, and the hub's settings."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from hf_soup.localhub.accounts import Accounts
from hf_soup.localhub.repositories import Repositories
from hf_soup.localhub.signing import Signer
from hf_soup.localhub.xet import XetStore


@dataclass
class HubState:
    root: Path
    lfs_threshold: int  # bytes; larger files are large files whatever their name
    multipart_chunk: int | None  # bytes; larger uploads come in parts of this size, None: never
    page_size: int
    xet: XetStore | None
    latency_s: float = 0.0  # from the arrival of a request to the start of its answer
    endpoint: str = ""
    cdn: str = ""
    signer: Signer = field(default_factory=Signer)
    accounts: Accounts = field(init=False)
    repositories: Repositories = field(init=False)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.incoming, ignore_errors=True)  # what a killed process left half-done
        self.accounts = Accounts(self.root)
        self.repositories = Repositories(self.root)

    @property
    def incoming(self) -> Path:
        """Uploads and new repositories until they are complete."""
        return self.root / "incoming"
