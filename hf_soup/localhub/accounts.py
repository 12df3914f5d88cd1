"""Users, their tokens and organisations, kept in `accounts.json` of the hub's folder."""

from __future__ import annotations

import json
import secrets
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from hf_soup.errors import SoupError
from hf_soup.localhub.atomic import write_json

Role = Literal["read", "write"]

OWNER = "tester"
READER = "reader"
ORGANISATION = "soup-org"


@dataclass(frozen=True)
class User:
    """A user with one token. A member may do everything in their own namespace and in those of `orgs`."""

    name: str
    token: str
    role: Role = "write"
    orgs: tuple[str, ...] = ()

    @property
    def namespaces(self) -> tuple[str, ...]:
        return (self.name, *self.orgs)


class Accounts:
    """A new folder gets `tester` (write token, member of `soup-org`) and `reader` (read token)."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "accounts.json"
        self._lock = threading.Lock()
        if self._path.exists():
            self._users = self._read()
        else:
            self._users = [
                User(OWNER, _new_token(), "write", (ORGANISATION,)),
                User(READER, _new_token(), "read"),
            ]
            self._save()

    def add(self, name: str, role: Role = "write", orgs: tuple[str, ...] = ()) -> User:
        """A new user with a new token, or the existing one of that name."""
        with self._lock:
            for user in self._users:
                if user.name == name:
                    return user
            user = User(name, _new_token(), role, orgs)
            self._users.append(user)
            self._save()
            return user

    def named(self, name: str) -> User | None:
        return next((user for user in self._users if user.name == name), None)

    def with_token(self, token: str) -> User | None:
        return next((user for user in self._users if secrets.compare_digest(user.token, token)), None)

    def _read(self) -> list[User]:
        try:
            rows = json.loads(self._path.read_text())
            return [User(**{**row, "orgs": tuple(row["orgs"])}) for row in rows]
        except (ValueError, TypeError, KeyError) as error:
            raise SoupError(
                f"{self._path} is not a list of users with name, token, role and orgs ({error}); correct it, or delete it"
                " to get new tokens."
            ) from None

    def _save(self) -> None:
        write_json(self._path, [asdict(user) for user in self._users])


def _new_token() -> str:
    return "hf_" + secrets.token_hex(17)
