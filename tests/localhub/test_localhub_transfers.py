"""Files on their way in and out: ranges, the CDN, large uploads in one and in many parts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from huggingface_hub import HfApi, HfFileSystem, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError

from hf_soup.localhub import LocalHub
from hf_soup.localhub.ranges import requested_span
from hf_soup.localhub.refusals import Refusal

if TYPE_CHECKING:
    from conftest import Wire

pytestmark = pytest.mark.hub

DATA = bytes(range(256)) * 40


@pytest.fixture
def large(api: HfApi, repo_id: str) -> str:
    """The address of a large file with DATA."""
    api.upload_file(path_or_fileobj=DATA, path_in_repo="w.bin", repo_id=repo_id)
    return f"/{repo_id}/resolve/main/w.bin"


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None),
        ("bytes=0-", (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-5", (95, 100)),
        ("bytes=-500", (0, 100)),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("items=0-1", None),
        ("bytes=0-1,5-6", None),
    ],
)
def test_ranges_mean_what_rfc_9110_says(header: str | None, span: tuple[int, int] | None) -> None:
    assert requested_span(header, 100) == span


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=-0", 9)])
def test_a_range_outside_the_file_is_not_satisfiable(header: str, size: int) -> None:
    with pytest.raises(Refusal) as refusal:
        requested_span(header, size)
    assert (refusal.value.status, refusal.value.headers) == (416, {"Content-Range": f"bytes */{size}"})


def test_a_small_file_is_answered_by_the_hub_itself(api: HfApi, wire: Wire, repo_id: str) -> None:
    sha = api.upload_file(path_or_fileobj=b"0123456789", path_in_repo="d/a b.txt", repo_id=repo_id).oid
    address = f"/{repo_id}/resolve/main/d/a%20b.txt"
    head = wire("HEAD", address)
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "10", b"")
    assert head.headers["X-Repo-Commit"] == sha
    assert head.headers["ETag"] == '"ad471007bd7f5983d273b9584e5629230150fd54"'  # git hash-object
    part = wire("GET", address, headers={"Range": "bytes=2-4"})
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    assert wire("GET", address, headers={"Range": "bytes=10-"}).status == 416


def test_a_large_file_is_redirected_to_another_origin_with_its_metadata(
    hub: LocalHub, api: HfApi, wire: Wire, large: str
) -> None:
    for method in ("HEAD", "GET"):
        reply = wire(method, large)
        assert reply.status == 302
        assert reply.headers["X-Linked-Size"] == str(len(DATA))
        assert reply.headers["X-Linked-Etag"] == f'"{hashlib.sha256(DATA).hexdigest()}"'
        assert len(reply.headers["X-Repo-Commit"]) == 40
    here, there = urlsplit(hub.endpoint), urlsplit(reply.headers["Location"])
    assert (here.hostname, here.port) != (there.hostname, there.port)
    assert here.hostname != there.hostname  # some clients compare names only
    part = wire("GET", reply.headers["Location"], token=None, headers={"Range": "bytes=-3"})
    assert (part.status, part.body) == (206, DATA[-3:])
    assert wire("GET", reply.headers["Location"], token=None).body == DATA


def test_the_cdn_takes_signed_addresses_only_and_no_tokens(wire: Wire, large: str) -> None:
    signed = wire("GET", large).headers["Location"]
    assert wire("GET", signed, token=None).status == 200
    assert wire("GET", signed).status == 400
    assert wire("GET", signed.split("?")[0], token=None).status == 403
    assert wire("GET", signed.replace("Expires=1", "Expires=2"), token=None).status == 403
    other = signed.replace(hashlib.sha256(DATA).hexdigest(), "0" * 64)
    assert wire("GET", other, token=None).status == 403
    assert wire("GET", "/api/whoami-v2", token=None).status == 401
    assert wire("GET", f"{signed.split('/models/')[0]}/api/whoami-v2", token=None).status == 404


def test_a_client_does_not_send_its_token_to_the_cdn(hub: LocalHub, large: str, repo_id: str, tmp_path: Path) -> None:
    hub.clear_requests()
    assert Path(hf_hub_download(repo_id, "w.bin", cache_dir=tmp_path)).read_bytes() == DATA
    assert [(r.method, r.origin, r.authorized, r.status) for r in hub.requests] == [
        ("HEAD", "hub", True, 302),
        ("GET", "cdn", False, 200),
    ]
    assert (hub.requests[-1].sent, hub.requests[-1].host.split(":")[0]) == (len(DATA), "localhost")


def test_a_missing_file_names_the_commit_so_that_clients_remember_its_absence(
    hub: LocalHub, api: HfApi, repo_id: str, tmp_path: Path
) -> None:
    for _ in range(2):
        with pytest.raises(EntryNotFoundError):
            hf_hub_download(repo_id, "nope.json", cache_dir=tmp_path)
    sha = api.model_info(repo_id).sha
    assert list(tmp_path.rglob(f".no_exist/{sha}/nope.json"))


def test_raw_shows_what_git_keeps(wire: Wire, large: str) -> None:
    raw = wire("GET", large.replace("/resolve/", "/raw/")).body.decode()
    assert raw == (
        "version https://git-lfs.github.com/spec/v1\n"
        f"oid sha256:{hashlib.sha256(DATA).hexdigest()}\nsize {len(DATA)}\n"
    )


def test_a_snapshot_is_the_folder_that_was_uploaded(api: HfApi, repo_id: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for path, data in {"a.txt": b"text", "d/e/w.safetensors": DATA, "d/empty.txt": b""}.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    made = api.upload_folder(repo_id=repo_id, folder_path=source, path_in_repo="sub")
    for revision in (None, made.oid):
        folder = Path(snapshot_download(repo_id, revision=revision, cache_dir=tmp_path / "cache"))
        assert folder.name == made.oid
        files = {str(p.relative_to(folder / "sub").as_posix()) for p in (folder / "sub").rglob("*") if p.is_file()}
        assert files == {"a.txt", "d/e/w.safetensors", "d/empty.txt"}
        assert (folder / "sub/d/e/w.safetensors").read_bytes() == DATA


def test_hffilesystem_reads_ranges_and_lists_folders(hub: LocalHub, large: str, repo_id: str) -> None:
    fs = HfFileSystem(skip_instance_cache=True)
    assert sorted(path.split("/")[-1] for path in fs.ls(repo_id, detail=False)) == [".gitattributes", "w.bin"]
    hub.clear_requests()
    with fs.open(f"{repo_id}/w.bin", "rb", block_size=1000) as file:
        file.seek(5000)
        assert file.read(10) == DATA[5000:5010]
    on_cdn = [request for request in hub.requests if request.origin == "cdn"]
    assert on_cdn
    assert all(r.range and r.status == 206 and r.sent < 3000 and not r.authorized for r in on_cdn)


def test_an_object_that_is_here_already_is_not_sent_again(hub: LocalHub, api: HfApi, large: str, repo_id: str) -> None:
    hub.clear_requests()
    api.upload_file(path_or_fileobj=DATA, path_in_repo="copy.bin", repo_id=repo_id)
    assert not [request for request in hub.requests if request.method == "PUT"]


def test_bytes_that_are_not_what_their_name_says_are_refused(wire: Wire, repo_id: str) -> None:
    oid = hashlib.sha256(b"right").hexdigest()
    batch = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": 5}]}
    actions = wire("POST", f"/{repo_id}.git/info/lfs/objects/batch", body=batch).json()["objects"][0]["actions"]
    assert wire("PUT", actions["upload"]["href"], body=b"wrong", token=None).status == 400
    verify = {"oid": oid, "size": 5}
    assert wire("POST", actions["verify"]["href"], body=verify).status == 404
    assert wire("PUT", actions["upload"]["href"], body=b"right", token=None).status == 200
    assert wire("POST", actions["verify"]["href"], body=verify).status == 200
    assert wire("POST", actions["verify"]["href"], body={**verify, "size": 6}).status == 400


def test_a_large_upload_comes_in_parts(tmp_path: Path) -> None:
    with LocalHub(tmp_path, multipart_chunk=1 << 20) as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        repo_id = api.create_repo("parts").repo_id
        data = os.urandom((2 << 20) + 17)
        api.upload_file(path_or_fileobj=data, path_in_repo="w.bin", repo_id=repo_id)
        puts = [request for request in hub.requests if request.method == "PUT"]
        assert [(put.received, put.authorized) for put in puts] == [(1 << 20, False)] * 2 + [(17, False)]
        stored = next(path for path in (tmp_path / "models").rglob("lfs/objects/*/*/*"))
        assert stored.read_bytes() == data
        assert not list((tmp_path / "models").rglob("lfs/parts/*"))
        assert not list((tmp_path / "incoming").iterdir())


def test_a_multipart_upload_with_a_missing_part_is_refused_and_can_go_on(
    tmp_path: Path, wire_to: Callable[[LocalHub], Wire]
) -> None:
    with LocalHub(tmp_path, multipart_chunk=4) as hub:
        wire = wire_to(hub)
        HfApi(endpoint=hub.endpoint, token=hub.token).create_repo("parts")
        oid = hashlib.sha256(b"01234567").hexdigest()
        batch = {"operation": "upload", "transfers": ["basic", "multipart"], "objects": [{"oid": oid, "size": 8}]}
        answer = wire("POST", "/tester/parts.git/info/lfs/objects/batch", body=batch).json()
        upload = answer["objects"][0]["actions"]["upload"]
        assert (answer["transfer"], upload["header"]["chunk_size"]) == ("multipart", "4")
        parts = {"oid": oid, "parts": [{"partNumber": 1, "etag": "a"}, {"partNumber": 2, "etag": "b"}]}
        assert wire("PUT", upload["header"]["1"], body=b"0123", token=None).status == 200
        assert wire("POST", upload["href"], body=parts, token=None).status == 400
        assert wire("PUT", upload["header"]["2"], body=b"4567", token=None).status == 200
        for _ in range(2):  # the second time as after a lost answer
            assert wire("POST", upload["href"], body=parts, token=None).status == 200
