"""`.gitignore` rules, as far as an upload asks for them."""

from __future__ import annotations

from hf_soup.localhub.attributes import matches


def is_ignored(path: str, rules: str) -> bool:
    """Whether the last rule that matches the path, or a folder above it, ignores it."""
    parts = path.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts))]
    ignored = False
    for line in rules.splitlines():
        rule = line.rstrip()
        if not rule or rule.startswith("#"):
            continue
        keep = rule.startswith("!")
        pattern = rule.removeprefix("!")
        only_folders = pattern.endswith("/")
        pattern = pattern.rstrip("/")
        candidates = above if only_folders else [*above, path]
        if any(matches(pattern, candidate) for candidate in candidates):
            ignored = not keep
    return ignored
