"""Reading a file of the Hub by ranges over real HTTP, with everything that goes wrong on the way."""

from __future__ import annotations

import pytest
from huggingface_hub import close_session

from hf_soup.checkpoints.backoff import Backoff
from hf_soup.checkpoints.folder import HubFolder
from hf_soup.checkpoints.reference import PinnedRef
from hf_soup.checkpoints.stop_signal import StopSignal
from hf_soup.errors import HubError, InputError

pytestmark = pytest.mark.hub
CDN = r"^/models/"
SIZE = 300_000


@pytest.fixture
def data(random_bytes) -> bytes:
    return random_bytes(SIZE)


def read(file, offset: int, count: int) -> bytes:
    buffer = bytearray(count)
    return bytes(buffer[: file.read_into(offset, memoryview(buffer))])


def on(hub, origin: str) -> list:
    return [request for request in hub.requests if request.origin == origin]


def ranges(hub) -> list[str]:
    return [request.range for request in on(hub, "cdn")]


def test_the_hub_is_asked_once_where_the_file_is_and_never_shows_the_token_to_the_storage(hub, stored, data):
    file = stored(data)
    assert read(file, 0, 10) == data[:10]
    assert read(file, SIZE - 7, 100) == data[-7:]
    assert read(file, 5, 0) == b""
    assert [(r.method, r.origin, r.authorized, r.status) for r in hub.requests] == [
        ("HEAD", "hub", True, 302),
        ("GET", "cdn", False, 206),
        ("GET", "cdn", False, 206),
    ]
    assert ranges(hub) == ["bytes=0-9", f"bytes={SIZE - 7}-{SIZE - 1}"]


def test_a_small_file_that_the_hub_serves_itself_is_read_there(hub, stored):
    file = stored(b"0123456789", "notes.txt")
    assert read(file, 2, 3) == b"234"
    assert read(file, 8, 9) == b"89"
    assert [(r.method, r.origin, r.status) for r in hub.requests] == [("HEAD", "hub", 200)] + [("GET", "hub", 206)] * 2


def test_a_redirect_on_the_hub_is_followed_with_the_token(api, hub, stored, data, repo):
    file = stored(data)
    api.create_repo(f"{repo}-moved")
    api.upload_file(path_or_fileobj=data, path_in_repo="w.bin", repo_id=f"{repo}-moved")
    hub.clear_requests()
    moved = {"Location": f"/{repo}-moved/resolve/main/w.bin"}
    hub.faults.add(f"/{repo}/resolve/", "HEAD", status=307, headers=moved)
    assert read(file, 0, 10) == data[:10]
    assert [(r.method, r.origin, r.authorized) for r in hub.requests] == [
        ("HEAD", "hub", True),
        ("HEAD", "hub", True),
        ("GET", "cdn", False),
    ]


def test_redirects_in_a_circle_are_an_error(hub, stored, data):
    file = stored(data)
    hub.faults.add("/resolve/", "HEAD", status=307, headers={"Location": file._url}, times=None)
    with pytest.raises(HubError, match="redirects in a circle"):
        read(file, 0, 1)
    assert len(hub.requests) == 5


@pytest.mark.parametrize("at", [0, 100_000, SIZE - 1])
@pytest.mark.parametrize("kind", ["truncate", "stall"])
def test_a_body_that_breaks_off_is_resumed_at_the_byte_where_it_stopped(hub, stored, data, waits, kind, at):
    file = stored(data, backoff=Backoff(stall_s=0.2, wait=lambda signal, seconds: waits.append(seconds)))
    hub.faults.add(CDN, "GET", **{kind: at})
    assert read(file, 0, SIZE) == data
    assert ranges(hub) == [f"bytes=0-{SIZE - 1}", f"bytes={at}-{SIZE - 1}"]
    assert len(on(hub, "hub")) == 1
    assert waits == [1.0]


@pytest.mark.parametrize("at", [0, 100_000, SIZE - 1])
def test_a_connection_that_is_reset_loses_no_byte_and_repeats_none(hub, stored, data, waits, at):
    file = stored(data)
    hub.faults.add(CDN, "GET", reset=at)
    assert read(file, 0, SIZE) == data
    _, second = ranges(hub)
    assert int(second.removeprefix("bytes=").split("-")[0]) <= at
    assert waits == [1.0]


@pytest.mark.parametrize(
    ("fault", "waited"),
    [
        ({"drop": True}, 1.0),
        ({"drop": "response"}, 1.0),
        ({"status": 408}, 1.0),
        ({"status": 500}, 1.0),
        ({"status": 503, "headers": {"Retry-After": "7"}}, 7.0),
        ({"status": 504, "headers": {"Retry-After": "soon"}}, 1.0),
        ({"status": 503, "headers": {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}}, 1.0),
        ({"status": 429, "headers": {"RateLimit": '"api";r=0;t=55'}}, 56.0),
        ({"status": 429, "headers": {"RateLimit": '"resolvers";r=12;t=55'}}, 1.0),
    ],
)
@pytest.mark.parametrize(("path", "method"), [("/resolve/", "HEAD"), (CDN, "GET")])
def test_failures_that_may_pass_are_repeated_after_the_time_the_server_asks_for(
    hub, stored, data, waits, path, method, fault, waited
):
    file = stored(data)
    hub.faults.add(path, method, **fault)
    assert read(file, 0, SIZE) == data
    assert waits == [waited]
    assert len(hub.requests) == 3


@pytest.mark.parametrize(("path", "method"), [("/resolve/", "HEAD"), (CDN, "GET")])
@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": True}])
def test_five_failures_without_progress_are_the_end(hub, stored, data, waits, repo, path, method, fault):
    file = stored(data)
    hub.faults.add(path, method, times=None, **fault)
    with pytest.raises(HubError, match=rf"model.safetensors of {repo}@.* 5 times in a row; run the command again"):
        read(file, 0, SIZE)
    assert waits == [1.0, 2.0, 4.0, 8.0]
    assert sum(request.fault for request in hub.requests) == 5


def test_bodies_that_all_break_off_are_read_to_the_end_while_there_is_progress(hub, stored, data, waits):
    file = stored(data)
    hub.faults.add(CDN, "GET", truncate=20_000, times=None)
    assert read(file, 0, SIZE) == data
    assert ranges(hub) == [f"bytes={at}-{SIZE - 1}" for at in range(0, SIZE, 20_000)]
    assert set(waits) == {1.0}


def test_a_wait_of_hours_is_an_error_that_says_so(hub, stored, data, waits):
    file = stored(data)
    hub.faults.add("/resolve/", status=429, headers={"Retry-After": "7200"})
    with pytest.raises(HubError, match=r"status 429, and it asks to come back in 7,200 seconds"):
        read(file, 0, 1)
    assert waits == []


def test_an_address_whose_time_is_over_is_asked_for_again(hub, stored, data, waits):
    file = stored(data)
    assert read(file, 0, 10) == data[:10]
    hub.expire_locations()
    assert read(file, 10, 10) == data[10:20]
    assert [(r.method, r.status) for r in hub.requests] == [
        ("HEAD", 302),
        ("GET", 206),
        ("GET", 403),
        ("HEAD", 302),
        ("GET", 206),
    ]
    assert waits == []


@pytest.mark.parametrize("status", [400, 401, 403, 410])
def test_every_way_to_refuse_an_address_makes_one_new_and_two_are_an_error(hub, stored, data, status):
    file = stored(data)
    hub.faults.add(CDN, "GET", status=status)
    assert read(file, 0, SIZE) == data
    hub.faults.add(CDN, "GET", status=status, times=None)
    with pytest.raises(HubError, match=rf"refuses the address.*status {status}.*clock"):
        read(file, 0, SIZE)
    assert len(on(hub, "hub")) == 3


def test_the_address_expires_in_the_middle_of_a_broken_body(hub, stored, data):
    file = stored(data)
    hub.faults.add(CDN, "GET", truncate=1000)
    hub.faults.add(CDN, "GET", status=403)
    assert read(file, 0, SIZE) == data
    assert ranges(hub) == [f"bytes=0-{SIZE - 1}"] + [f"bytes=1000-{SIZE - 1}"] * 2


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"ignore_range": True}, "status 200 instead of 206"),
        ({"headers": {"Content-Range": f"bytes 0-99/{SIZE}"}}, rf"bytes 100-199, .* 'bytes 0-99/{SIZE}'"),
        ({"headers": {"Content-Range": f"bytes 100-299/{SIZE}"}}, "cannot be streamed"),
        ({"headers": {"Content-Range": "rows 1-2"}}, "cannot be streamed"),
        ({"headers": {"Content-Range": f"bytes 100-199/{SIZE + 1}"}}, f"has {SIZE + 1} bytes .* says {SIZE}"),
        ({"headers": {"Content-Encoding": "gzip"}}, "compressed"),
        ({"status": 404}, "its storage does not have it"),
        ({"status": 416, "headers": {"Content-Range": "bytes */50"}}, "has 50 bytes on the Hub now"),
        ({"status": 405}, "the storage answered with status 405"),
    ],
)
def test_an_answer_that_is_not_the_range_that_was_asked_for_is_an_error_at_once(
    hub, stored, data, waits, repo, fault, sentence
):
    file = stored(data)
    hub.faults.add(CDN, "GET", **fault)
    with pytest.raises(HubError, match=sentence) as failure:
        read(file, 100, 100)
    assert str(failure.value).startswith(f"model.safetensors of {repo}@")
    assert waits == []


def test_a_file_that_has_another_length_than_its_listing_is_an_error(hub, stored, data):
    file = stored(data)
    hub.faults.add("/resolve/", "HEAD", headers={"X-Linked-Size": "1234"})
    with pytest.raises(HubError, match=f"has 1234 bytes on the Hub now, its listing says {SIZE}"):
        read(file, 0, 1)


def test_an_unknown_total_length_is_no_contradiction(hub, stored, data):
    file = stored(data)
    hub.faults.add(CDN, "GET", headers={"Content-Range": "bytes 0-9/*"})
    assert read(file, 0, 10) == data[:10]


def test_what_cannot_heal_is_one_clear_sentence_and_one_request(api, hub, stored, data, repo, waits):
    file = stored(data)
    missing = HubFolder(PinnedRef(repo, repo_id=repo, revision=api.model_info(repo).sha))
    missing.files["gone.safetensors"] = missing.files["model.safetensors"]
    with pytest.raises(InputError, match=f"gone.safetensors of {repo}.* no such file at this commit"):
        read(missing.remote_file("gone.safetensors"), 0, 1)
    reader = HubFolder(missing.ref, token=hub.reader_token)
    reader.files["model.safetensors"]
    api.update_repo_settings(repo, gated="auto")
    hub.clear_requests()
    with pytest.raises(InputError, match=f"model.safetensors of {repo}.* gated.*ask for access"):
        read(reader.remote_file("model.safetensors"), 0, 1)
    api.update_repo_settings(repo, gated=False, visibility="private")
    hub.clear_requests()
    with pytest.raises(InputError, match="or it is private and the token cannot see it"):
        read(reader.remote_file("model.safetensors"), 0, 1)
    assert read(file, 0, 5) == data[:5]
    api.delete_repo(repo)
    with pytest.raises(HubError, match="its storage does not have it"):
        read(file, 0, 5)
    assert waits == []


def test_offline_mode_says_what_to_unset(hub, stored, data, monkeypatch):
    file = stored(data)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        read(file, 0, 1)


def test_a_shared_client_that_is_closed_in_mid_body_is_replaced(hub, stored, random_bytes):
    data = random_bytes(8_000_000)
    file = stored(data)
    received = bytearray()
    for chunk in file.chunks(0, len(data), StopSignal()):
        if not received:
            close_session()
        received += chunk
    assert received == data
