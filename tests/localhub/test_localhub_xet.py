"""Xet through hf_xet's local store; clients run in their own process, for they read their settings at import."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hf_soup.localhub import LocalHub

pytestmark = [
    pytest.mark.hub,
    pytest.mark.skipif(find_spec("hf_xet") is None, reason="hf_xet is not installed"),
]

CLIENT = """
import hashlib, sys
from pathlib import Path
from huggingface_hub import HfApi, hf_hub_download, snapshot_download

folder, what = Path(sys.argv[1]), sys.argv[2]
api = HfApi()
if what == "push":
    api.create_repo("tester/xet")
    print(api.upload_folder(repo_id="tester/xet", folder_path=folder).oid)
    print(api.upload_file(path_or_fileobj=b"\\0more", path_in_repo="more.bin", repo_id="tester/xet").oid)
else:
    data = Path(hf_hub_download("tester/xet", "w.bin", cache_dir=folder / "one")).read_bytes()
    print(hashlib.sha256(data).hexdigest())
    snapshot = Path(snapshot_download("tester/xet", cache_dir=folder / "all"))
    print(sorted(p.relative_to(snapshot).as_posix() for p in snapshot.rglob("*") if p.is_file()))
"""


def run_client(hub: LocalHub, folder: Path, what: str, **more: str) -> list[str]:
    environment = {**os.environ, **hub.environment(), "HF_HOME": str(folder / f"home-{what}"), **more}
    command = [sys.executable, "-c", CLIENT, str(folder), what]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_xet_and_plain_clients_read_what_a_xet_client_pushed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    data = os.urandom(300_000)
    (source / "w.bin").write_bytes(data)
    (source / "README.md").write_text("---\nlicense: mit\n---\n")
    digest = hashlib.sha256(data).hexdigest()
    with LocalHub(tmp_path / "hub", xet=True) as hub:
        assert hub.environment()["HF_HUB_DISABLE_XET"] == "0"
        run_client(hub, source, "push")
        assert not [request for request in hub.requests if request.method == "PUT"]  # nothing went the LFS way
        assert any("xet-write-token" in request.path for request in hub.requests)
        hub.restart()
        hub.clear_requests()
        expected = [digest, "['.gitattributes', 'README.md', 'more.bin', 'w.bin']"]
        assert run_client(hub, tmp_path / "x", "pull") == expected
        assert not [request for request in hub.requests if request.origin == "cdn"]
        hub.clear_requests()
        assert run_client(hub, tmp_path / "y", "pull", HF_HUB_DISABLE_XET="1") == expected
        assert [request for request in hub.requests if request.origin == "cdn"]


def test_a_hub_without_xet_says_how_to_go_on(wire, repo_id: str) -> None:
    reply = wire("GET", f"/api/models/{repo_id}/xet-read-token/main")
    assert reply.status == 404
    assert "HF_HUB_DISABLE_XET=1" in reply.json()["error"]
