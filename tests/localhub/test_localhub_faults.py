"""Injected faults and the request log."""

from __future__ import annotations

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError

from hf_soup.localhub import LocalHub

if TYPE_CHECKING:
    from conftest import Wire

pytestmark = pytest.mark.hub
HTTPError = HfHubHTTPError.__mro__[1]  # of httpx or httpx2, whichever this huggingface_hub is built on


def test_a_status_is_answered_with_its_headers_so_many_times(hub: LocalHub, wire: Wire) -> None:
    fault = hub.faults.add("whoami", status=429, headers={"Retry-After": "7"}, times=2)
    replies = [wire("GET", "/api/whoami-v2") for _ in range(3)]
    assert [reply.status for reply in replies] == [429, 429, 200]
    assert replies[0].headers["Retry-After"] == "7"
    assert fault.hits == 2
    assert [request.fault for request in hub.requests] == [True, True, False]


def test_skip_picks_the_request_that_fails_whatever_it_is(hub: LocalHub, wire: Wire) -> None:
    hub.faults.add(status=500, skip=2)
    assert [wire("GET", f"/api/models?search={i}").status for i in range(4)] == [200, 200, 500, 200]


def test_a_fault_can_be_bound_to_method_and_query(hub: LocalHub, wire: Wire) -> None:
    hub.faults.add(r"models\?.*author=x", "GET", status=502, times=None)
    assert wire("GET", "/api/models?author=y").status == 200
    assert wire("HEAD", "/api/models?author=x").status == 200
    assert wire("GET", "/api/models?author=x").status == 502
    hub.faults.clear()
    assert wire("GET", "/api/models?author=x").status == 200


def test_a_fault_says_one_way_to_fail(hub: LocalHub) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        hub.faults.add(status=500, drop=True)
    with pytest.raises(ValueError, match="exactly one"):
        hub.faults.add()


def test_a_dropped_connection_has_no_answer_and_nothing_was_done(
    hub: LocalHub, api: HfApi, wire: Wire, repo_id: str
) -> None:
    before = api.model_info(repo_id).sha
    hub.faults.add("/commit/", "POST", drop=True)
    with pytest.raises(HTTPError):
        api.create_commit(repo_id, [CommitOperationAdd("a", b"1")], commit_message="m")
    assert hub.requests[-1].status is None
    assert api.model_info(repo_id).sha == before
    hub.faults.add("whoami", drop=True)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        wire("GET", "/api/whoami-v2")


def test_a_lost_answer_leaves_the_work_done(hub: LocalHub, api: HfApi, repo_id: str) -> None:
    before = api.model_info(repo_id).sha
    hub.faults.add("/commit/", "POST", drop="response")
    with pytest.raises(HTTPError):
        api.create_commit(repo_id, [CommitOperationAdd("a", b"1")], commit_message="m")
    assert [commit.commit_id for commit in api.list_repo_commits(repo_id)][1:] == [before]


def test_a_truncated_body_ends_early_though_its_length_says_otherwise(
    hub: LocalHub, api: HfApi, wire: Wire, repo_id: str
) -> None:
    api.upload_file(path_or_fileobj=b"\0" * 5000, path_in_repo="w.bin", repo_id=repo_id)
    address = wire("GET", f"/{repo_id}/resolve/main/w.bin").headers["Location"]
    hub.faults.add("/models/", "GET", truncate=1000)
    with pytest.raises(http.client.IncompleteRead) as failure:
        wire("GET", address, token=None)
    assert len(failure.value.partial) == 1000
    assert hub.requests[-1].sent == 1000


@pytest.fixture
def signed(api: HfApi, wire: Wire, repo_id: str) -> str:
    """The address on the CDN of a file of 5,000 bytes."""
    api.upload_file(path_or_fileobj=b"01234" * 1000, path_in_repo="w.bin", repo_id=repo_id)
    return wire("GET", f"/{repo_id}/resolve/main/w.bin").headers["Location"]


def test_a_reset_connection_is_no_end_of_a_body(hub: LocalHub, wire: Wire, signed: str) -> None:
    hub.faults.add("^/models/", "GET", reset=1000)
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        wire("GET", signed, token=None)
    assert wire("GET", signed, token=None).body == b"01234" * 1000


def test_a_stalled_body_stays_open_and_sends_nothing_more(hub: LocalHub, signed: str) -> None:
    hub.faults.add("^/models/", "GET", stall=1000)
    url = urlsplit(signed)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=0.1)
    connection.request("GET", f"{url.path}?{url.query}")
    reply = connection.getresponse()
    assert len(reply.read(1000)) == 1000
    with pytest.raises(TimeoutError):
        reply.read(1)
    connection.close()


def test_a_cdn_may_ignore_the_range_or_say_what_is_not_so(hub: LocalHub, wire: Wire, signed: str) -> None:
    asked = {"Range": "bytes=5-9"}
    hub.faults.add("^/models/", "GET", ignore_range=True)
    reply = wire("GET", signed, token=None, headers=asked)
    assert (reply.status, len(reply.body), reply.headers["Content-Range"]) == (200, 5000, None)
    hub.faults.add("^/models/", "GET", headers={"Content-Range": "bytes 6-10/5001", "X-More": "1"})
    reply = wire("GET", signed, token=None, headers=asked)
    assert (reply.status, reply.body) == (206, b"01234")
    assert (reply.headers.get_all("Content-Range"), reply.headers["X-More"]) == (["bytes 6-10/5001"], "1")
    assert wire("GET", signed, token=None, headers=asked).headers["Content-Range"] == "bytes 5-9/5000"


def test_signed_addresses_expire_when_they_are_told_to(hub: LocalHub, wire: Wire, signed: str, repo_id: str) -> None:
    hub.expire_locations()
    reply = wire("GET", signed, token=None)
    assert (reply.status, reply.headers["X-Error-Message"]) == (403, "Request has expired")
    again = wire("GET", f"/{repo_id}/resolve/main/w.bin").headers["Location"]
    assert wire("GET", again, token=None).status == 200


def test_latency_lets_requests_wait_side_by_side(hub: LocalHub, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "latency_s", 1.0)
    with ThreadPoolExecutor(6) as pool:
        replies = [pool.submit(wire, "GET", "/api/whoami-v2") for _ in range(6)]
        assert hub.wait_for_requests(6, "hub", patience_s=0.9)
        assert [request.status for request in hub.requests] == [None] * 6
        assert [reply.result().status for reply in replies] == [200] * 6
    assert not hub.wait_for_requests(7, patience_s=0)


def test_a_client_resumes_a_truncated_download(hub: LocalHub, api: HfApi, repo_id: str, tmp_path: Path) -> None:
    data = bytes(range(250)) * 2000
    api.upload_file(path_or_fileobj=data, path_in_repo="w.bin", repo_id=repo_id)
    hub.clear_requests()
    hub.faults.add("^/models/", "GET", truncate=200_000)
    assert Path(hf_hub_download(repo_id, "w.bin", cache_dir=tmp_path)).read_bytes() == data
    gets = [request for request in hub.requests if request.origin == "cdn"]
    assert [get.status for get in gets][-1] in (200, 206)
    assert len(gets) == 2


def test_a_slow_body_takes_its_time(hub: LocalHub, api: HfApi, wire: Wire, repo_id: str) -> None:
    api.upload_file(path_or_fileobj=b"x" * 4000, path_in_repo="a.txt", repo_id=repo_id)
    hub.faults.add("a.txt", slow=20_000)
    start = time.monotonic()
    assert len(wire("GET", f"/{repo_id}/resolve/main/a.txt").body) == 4000
    assert time.monotonic() - start > 0.15


def test_clients_retry_what_the_hub_fails_to_answer_now_and_then(hub: LocalHub, api: HfApi, repo_id: str) -> None:
    hub.faults.add("/preupload/", status=503)
    hub.faults.add(method="PUT", drop=True)
    api.upload_file(path_or_fileobj=b"\0w", path_in_repo="w.bin", repo_id=repo_id)
    assert api.file_exists(repo_id, "w.bin")


def test_every_request_of_an_upload_may_fail_and_a_repetition_completes_it(
    hub: LocalHub, api: HfApi, new_repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    (tmp_path / "w.bin").write_bytes(b"\0weights")
    first = new_repo()
    hub.clear_requests()
    api.upload_folder(repo_id=first, folder_path=tmp_path)
    count = len(hub.requests)
    assert count >= 6
    for number in range(count):
        repo_id = new_repo()
        hub.faults.add(status=400, skip=number)
        with pytest.raises((HfHubHTTPError, ValueError, RuntimeError)):
            api.upload_folder(repo_id=repo_id, folder_path=tmp_path)
        hub.faults.clear()
        api.upload_folder(repo_id=repo_id, folder_path=tmp_path)
        assert set(api.list_repo_files(repo_id)) == {".gitattributes", "README.md", "w.bin"}
        assert len(api.list_repo_commits(repo_id)) == 2


def test_the_log_tells_what_was_asked_and_answered(hub: LocalHub, wire: Wire) -> None:
    wire("GET", "/api/models?search=x%20y", headers={"Range": "bytes=0-1", "User-Agent": "me"})
    wire("POST", "/api/validate-yaml", body={"content": ""}, token=None)
    get, post = hub.requests
    assert (get.method, get.path, get.query, get.origin) == ("GET", "/api/models", "search=x%20y", "hub")
    assert (get.range, get.authorized, get.user, get.user_agent) == ("bytes=0-1", True, "tester", "me")
    assert (get.status, get.sent, get.received, get.fault) == (200, 2, 0, False)
    assert (post.authorized, post.user, post.received) == (False, None, len('{"content": ""}'))
    hub.clear_requests()
    assert hub.requests == []
    with pytest.raises(AttributeError):
        get.status = 500  # type: ignore[misc]
