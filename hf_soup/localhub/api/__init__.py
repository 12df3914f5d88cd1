"""The answers, by topic. Importing this package fills the tables of routes."""

from hf_soup.localhub.api import (
    access,
    cards,
    commits,
    discussions,
    downloads,
    infos,
    refs,
    repos,
    trees,
    uploads,
    users,
    xet_tokens,
)

__all__ = [
    "access",
    "cards",
    "commits",
    "discussions",
    "downloads",
    "infos",
    "refs",
    "repos",
    "trees",
    "uploads",
    "users",
    "xet_tokens",
]
