"""Makes this installation available as `hf soup …`, a command of the Hub's own CLI.

`hf extensions install` builds an environment of its own with a second copy of torch; the manifest written here points at
the program of the environment that the user already has.
"""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from hf_soup.errors import SoupError

_FOLDER = Path("~/.local/share/hf/extensions/hf-soup")  # fixed in huggingface_hub, whatever HF_HOME says


def register_extension(owner: str = "hf-soup") -> Path:
    """Writes the manifest and returns its path. Raises SoupError when the program `hf-soup` is not installed."""
    program = _program()
    folder = _FOLDER.expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {
        "owner": owner,
        "repo": "hf-soup",
        "repo_id": f"{owner}/hf-soup",
        "short_name": "soup",
        "executable_path": str(program),
        "type": "python",
        "installed_at": datetime.now(UTC).isoformat(),
        "description": "Combine what several models know: soups, judged, published, verifiable",
    }
    path = folder / "manifest.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def _program() -> Path:
    beside = Path(sys.executable).parent / ("hf-soup.exe" if sys.platform == "win32" else "hf-soup")
    if beside.exists():
        return beside
    found = shutil.which("hf-soup")
    if found is None:
        raise SoupError("The program hf-soup is not installed in this environment; run `pip install hf-soup` first.")
    return Path(found).resolve()
