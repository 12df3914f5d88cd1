"""Merges from the Hub to the Hub over HTTP: what arrives, what is on this disk meanwhile, what an interruption leaves."""

from __future__ import annotations

import json
import re
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from hub_merges import tree, unique, upload_runs
from huggingface_hub import HfApi, ModelCard, hf_hub_download
from huggingface_hub.constants import HF_HUB_CACHE

from hf_soup import Soup, verify
from hf_soup.checkpoints.backoff import Backoff
from hf_soup.checkpoints.span_stream import SpanStream
from hf_soup.cli import main
from hf_soup.errors import HubError, InputError, SoupError
from hf_soup.publishing import destination

pytestmark = pytest.mark.hub
SHARD = "6KB"
"""Of the checkpoints here, which have 18 KB: several weight files and an index."""


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    """Repetitions follow at once: ours, those inside huggingface_hub, and those of the streams."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("hf_soup.checkpoints.folder.Backoff", partial(Backoff, wait=lambda signal, seconds: None))


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """The folder for temporary files, which every test must leave empty."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def runs(api, tmp_path):
    return upload_runs(api, tmp_path)


def to_hub(runs, repo: str, **options):
    return Soup(runs, stream=True).merge_to_hub(repo, shard_size=SHARD, **options)


def content(repo: str, path: str, revision: str = "main") -> bytes:
    return Path(hf_hub_download(repo, path, revision=revision)).read_bytes()


def shards(api, repo: str, revision: str = "main") -> list[str]:
    return sorted(path for path in tree(api, repo, revision) if path.endswith(".safetensors"))


def sent(hub) -> list[str]:
    """The SHA-256 digests of the objects that were sent."""
    return [request.path.rpartition("/")[2] for request in hub.requests if request.method == "PUT"]


def weights_here() -> list[str]:
    return [str(path) for path in Path(HF_HUB_CACHE).rglob("*.safetensors")]


def test_it_publishes_byte_for_byte_what_a_merge_into_a_folder_and_a_push_publish(runs, api, tmp_path):
    repo, weights = unique("soup"), [3, 1, 1]
    merged = Soup(runs).merge(weights=weights, shard_size=SHARD, out=tmp_path / "soup")
    merged.push_to_hub(repo)
    ordinary = {path: content(repo, path) for path in tree(api, repo)}
    api.delete_repo(repo)
    pushed = to_hub(runs, repo, weights=weights)
    assert len(shards(api, repo)) > 2
    assert {
        path: content(repo, path, pushed.url[-40:]) for path in tree(api, repo)
    } == ordinary  # card and soup.json too
    assert len(api.list_repo_commits(repo)) == 2  # the Hub's own initial commit, and this one
    assert pushed.recipe.model_dump()["ingredients"] == merged.recipe.model_dump()["ingredients"]
    assert verify(repo).exit_code == 0


def test_no_weights_of_ingredients_come_to_this_disk(runs):
    before = set(weights_here())
    to_hub(runs, unique("soup"))
    assert set(weights_here()) == before


def test_at_most_one_weight_file_is_here_at_any_time(runs, api, hub, scratch, monkeypatch):
    while_computed, when_sent, original = set(), [], HfApi.preupload_lfs_files

    def here() -> list[str]:
        return [path.name for path in scratch.rglob("*.safetensors")]

    def look(self, *args, **kwargs):
        when_sent.append(here())
        return original(self, *args, **kwargs)

    @contextmanager
    def bar(title, total):
        yield lambda nbytes: while_computed.add(len(here()))

    monkeypatch.setattr(HfApi, "preupload_lfs_files", look)
    monkeypatch.setattr("hf_soup.soup.byte_bar", bar)
    repo = unique("soup")
    to_hub(runs, repo)
    assert [names for names in when_sent if names] == [[name] for name in shards(api, repo)]
    assert when_sent[-1] == []  # with the commit
    assert while_computed == {1}
    assert len([request for request in hub.requests if "/commit/main" in request.path and repo in request.path]) == 1


def test_models_on_this_machine_take_part_and_methods_with_a_base_work(runs, api, tmp_path):
    repo = unique("soup")
    local = tmp_path / "source-0"
    soup = Soup([str(local), runs[1]], base=runs[2], stream=True)
    soup.merge_to_hub(repo, "ties", density=0.5, shard_size=SHARD)
    record = json.loads(content(repo, "soup.json"))
    assert (record["method"], record["base"]["repo_id"]) == ("ties", runs[2])
    assert verify(repo, ingredients={"source-0": local}).exit_code == 0


def test_without_streaming_the_result_still_never_is_a_folder(runs, api):
    repo = unique("soup")
    Soup(runs).merge_to_hub(repo, shard_size=SHARD)
    assert verify(repo).exit_code == 0


def test_a_pull_request_leaves_main_alone_and_is_not_opened_twice(runs, api, hub):
    repo = unique("soup")
    api.create_repo(repo)
    before = tree(api, repo)
    url = to_hub(runs, repo, create_pr=True).url
    assert url.endswith(f"{repo}/discussions/1")
    assert tree(api, repo) == before
    assert len(shards(api, repo, "refs/pr/1")) > 2
    hub.clear_requests()
    assert to_hub(runs, repo, create_pr=True).url == url
    assert sent(hub) == []
    assert len(list(api.get_repo_discussions(repo))) == 1


def test_a_private_one_names_private_ingredients_and_a_public_one_does_not(api, tmp_path):
    runs = upload_runs(api, tmp_path, private=[1])
    public, private = unique("soup"), unique("soup")
    to_hub(runs, public)
    to_hub(runs, private, private=True)
    assert api.model_info(private).private
    assert runs[1] in ModelCard.load(private).content
    for path in set(tree(api, public)) - {".gitattributes"}:
        assert runs[1].encode() not in content(public, path), path


def test_a_branch_is_made_and_stale_files_of_an_earlier_model_go(runs, api):
    repo = unique("soup")
    api.create_repo(repo)
    api.upload_file(repo_id=repo, path_or_fileobj=b"old", path_in_repo="model.safetensors")
    api.upload_file(repo_id=repo, path_or_fileobj=b"mine", path_in_repo="notes.md")
    to_hub(runs, repo, revision="candidate")
    assert "model.safetensors" not in tree(api, repo, "candidate")
    assert {"notes.md", *shards(api, repo, "candidate")} <= set(tree(api, repo, "candidate"))
    assert shards(api, repo) == ["model.safetensors"]


def test_a_repository_that_keeps_small_weight_files_in_git_gets_them_in_the_commit(runs, api):
    repo = unique("soup")
    api.create_repo(repo)
    api.upload_file(repo_id=repo, path_or_fileobj=b"*.bin filter=lfs\n", path_in_repo=".gitattributes")
    to_hub(runs, repo)
    assert verify(repo).exit_code == 0


FAILURES = ({"status": 503}, {"drop": True}, {"drop": "response"})


def kinds_of(requests) -> list[list[int]]:
    """Numbers of the requests of each kind: the same method, and the same path but for names and digests."""
    kinds: dict[tuple[str, str], list[int]] = {}
    for number, request in enumerate(requests):
        kind = re.sub(r"(run|soup)-\d+|[0-9a-f]{40,64}", "*", request.path)
        kinds.setdefault((request.method, kind), []).append(number)
    return list(kinds.values())


@pytest.mark.parametrize("create_pr", [False, True], ids=["commit", "pull request"])
def test_a_hub_that_fails_at_any_request_leaves_nothing_to_be_seen_and_the_call_can_be_repeated(
    api, hub, tmp_path, create_pr
):
    runs = upload_runs(api, tmp_path, count=2)

    def merge(repo: str) -> None:
        Soup(runs, stream=True).merge_to_hub(repo, shard_size="12KB", create_pr=create_pr)

    def new() -> str:
        repo = unique("soup")
        if create_pr:
            api.create_repo(repo)
        return repo

    merge(new())  # later ones find config and tokenizer in the cache
    whole = new()
    hub.clear_requests()
    merge(whole)
    requests = hub.requests
    places = []
    for numbers in kinds_of(requests):
        writes = requests[numbers[0]].method in ("POST", "PUT")
        if writes or not create_pr:  # reading is the same for both
            places += dict.fromkeys((numbers[0], numbers[-1])) if writes and not create_pr else numbers[-1:]
    revision = "refs/pr/1" if create_pr else "main"
    expected = set(tree(api, whole, revision))
    assert len([path for path in expected if path.endswith(".safetensors")]) == 2
    for number in places:
        repo = new()
        hub.faults.add(skip=number, times=None, **FAILURES[number % 3])
        with pytest.raises(HubError, match=r"run the (same push|command) again"):
            merge(repo)
        hub.faults.clear()
        if not create_pr and api.repo_exists(repo):
            assert set(tree(api, repo)) in ({".gitattributes"}, expected), f"half a model after {requests[number]}"
        merge(repo)
        assert set(tree(api, repo, revision)) == expected
        made = len(list(api.get_repo_discussions(repo))) if create_pr else len(api.list_repo_commits(repo)) - 1
        assert made == 1, f"{requests[number]}: {made} commits or pull requests instead of one"


class Stop(KeyboardInterrupt):
    """Ctrl-C."""


def test_ctrl_c_between_files_leaves_no_file_here_and_what_has_arrived_is_not_sent_again(runs, api, hub, monkeypatch):
    repo, original, uploads = unique("soup"), destination._upload, []

    def stop_at_third(*args, **kwargs):
        uploads.append(args)
        if len(uploads) == 3:
            raise Stop
        return original(*args, **kwargs)

    monkeypatch.setattr(destination, "_upload", stop_at_third)
    hub.clear_requests()
    with pytest.raises(Stop):
        to_hub(runs, repo)
    arrived = sent(hub)
    assert len(arrived) == 2
    assert set(tree(api, repo)) == {".gitattributes"}
    hub.clear_requests()
    to_hub(runs, repo)
    assert len(sent(hub)) == len(shards(api, repo)) - 2
    assert not set(arrived) & set(sent(hub))
    digests = tree(api, repo)
    assert {*arrived, *sent(hub)} == {digests[path] for path in shards(api, repo)}


def test_ctrl_c_while_weights_are_computed_closes_the_streams(runs, api, monkeypatch):
    repo, opened, closed = unique("soup"), [], []
    first_read, close = SpanStream._first, SpanStream.close

    def stop(self, *args):
        raise Stop

    monkeypatch.setattr(SpanStream, "_first", lambda self: (opened.append(self), first_read(self))[1])
    monkeypatch.setattr(SpanStream, "close", lambda self: (closed.append(self), close(self))[1])
    monkeypatch.setattr("hf_soup.merging.stream.Writer.write_part", stop)
    with pytest.raises(Stop):
        to_hub(runs, repo)
    assert opened
    assert set(opened) <= set(closed)
    assert set(tree(api, repo)) == {".gitattributes"}


def test_a_repeated_call_with_nothing_new_makes_no_commit(runs, api, hub):
    repo = unique("soup")
    first = to_hub(runs, repo).url
    hub.clear_requests()
    assert to_hub(runs, repo).url == first
    assert sent(hub) == []
    assert len(api.list_repo_commits(repo)) == 2


def test_a_readme_that_is_edited_there_meanwhile_is_no_obstacle(runs, api, monkeypatch):
    repo, original = unique("soup"), destination.send_ahead
    api.create_repo(repo)

    def somebody_edits(place, path, *rest):
        api.upload_file(repo_id=repo, path_or_fileobj=path.encode(), path_in_repo="notes.md")
        return original(place, path, *rest)

    monkeypatch.setattr("hf_soup.publishing.hub_merge.send_ahead", somebody_edits)
    to_hub(runs, repo)
    assert "notes.md" in tree(api, repo)
    assert verify(repo).exit_code == 0


def test_weights_that_somebody_removes_meanwhile_are_not_left_out_of_the_commit(runs, api, monkeypatch):
    repo, original = unique("soup"), destination.send_ahead
    to_hub(runs, repo)
    first = shards(api, repo)[0]

    def somebody_removes(place, path, *rest):
        operation = original(place, path, *rest)
        if path != first:
            monkeypatch.setattr("hf_soup.publishing.hub_merge.send_ahead", original)
            api.delete_file(first, repo)
        return operation

    monkeypatch.setattr("hf_soup.publishing.hub_merge.send_ahead", somebody_removes)
    with pytest.raises(HubError, match=rf"{first} was removed or replaced by somebody else.*run the same push again"):
        to_hub(runs, repo)
    monkeypatch.setattr("hf_soup.publishing.hub_merge.send_ahead", original)
    to_hub(runs, repo)
    assert verify(repo).exit_code == 0


def reads_of_weights(hub) -> int:
    return len([request for request in hub.requests if request.origin == "cdn" and request.method == "GET"])


def test_all_problems_are_listed_before_any_weight_is_read(api, hub, tmp_path):
    runs = upload_runs(api, tmp_path, licences=["mit", "apache-2.0"])
    existing = unique("soup")
    api.create_repo(existing)
    hub.clear_requests()
    with pytest.raises(InputError) as caught:
        to_hub(runs, existing, private=True, weights=[1])
    text = str(caught.value)
    assert "licences differ" in text
    assert "is public, so nothing was pushed" in text
    assert "weight" in text
    assert reads_of_weights(hub) == len(runs)  # headers


def test_a_token_in_a_file_of_the_donor_is_found_before_any_weight_is_read(api, hub, runs):
    for run in runs:
        api.upload_file(repo_id=run, path_or_fileobj=f"a\n{hub.token}\n".encode(), path_in_repo="vocab.txt")
    repo = unique("soup")
    hub.clear_requests()
    with pytest.raises(InputError, match=rf"vocab\.txt of {repo[7:]}: holds an access token"):
        to_hub(runs, repo)
    assert reads_of_weights(hub) == len(runs)  # headers
    assert not api.repo_exists(repo)


def test_several_processes_are_refused(runs, monkeypatch):
    monkeypatch.setattr("hf_soup.publishing.hub_merge.ranks", lambda: 2)
    with pytest.raises(InputError, match=r"one process, and 2 were started; start it without the launcher"):
        to_hub(runs, unique("soup"))


def test_a_temporary_folder_without_room_is_said_before_the_work(runs, monkeypatch):
    monkeypatch.setattr(
        "hf_soup.publishing.hub_merge.shutil.disk_usage", lambda place: type("Usage", (), {"free": 1_000})()
    )
    with pytest.raises(InputError, match=r"has 1,000 bytes free; [\d,]+ are needed for one weight file"):
        to_hub(runs, unique("soup"))


def test_a_disk_that_fails_meanwhile_is_said(runs, monkeypatch):
    def fail(output, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hf_soup.publishing.hub_merge.lay_out_file", fail)
    with pytest.raises(SoupError, match=r"Writing model-00001-of-\d+\.safetensors into the temporary folder failed"):
        to_hub(runs, unique("soup"))


def run(capsys, *words) -> tuple[int, str, str]:
    """Runs the program in this process; returns exit code, standard output, standard error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0), *capsys.readouterr()


def test_the_command_needs_no_folder_when_it_streams_and_pushes(runs, api, capsys):
    repo = unique("soup")
    code, out, err = run(capsys, "merge", *runs, "--stream", "--push", repo, "--shard-size", SHARD, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["path"] is None
    assert found["url"].startswith(f"{api.endpoint}/{repo}/commit/")
    count = len(shards(api, repo))
    assert f"Uploading model-00001-of-{count:05}.safetensors (1 of {count}) to {repo}" in err
    assert verify(repo).exit_code == 0


def test_the_command_says_where_a_result_may_go_and_which_options_are_of_a_folder(capsys):
    for words in (("a/b", "c/d"), ("a/b", "c/d", "--stream"), ("a/b", "c/d", "--push", "me/soup")):
        code, _, err = run(capsys, "merge", *words)
        assert (code, "-o DIR, or --stream --push REPO" in err) == (2, True)
    code, _, err = run(capsys, "merge", "a/b", "c/d", "--stream", "--push", "me/soup", "--overwrite", "--fresh")
    assert code == 2
    assert "--overwrite is about the output folder" in err
    assert "--fresh is about the output folder" in err
