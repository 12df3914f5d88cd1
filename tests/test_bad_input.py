"""What users and others' repositories get wrong, through the API and the commands: the sentence, and nothing left behind."""

from __future__ import annotations

import base64
import errno
import json
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from tiny_checkpoints import CONFIG, relatives, write_checkpoint, write_relatives
from tiny_models import write_csv

from hf_soup import HeldOut, Soup
from hf_soup.cli import main
from hf_soup.errors import InputError, NonFiniteWeights, SoupError

pytestmark = pytest.mark.hub

ROWS = [{"text": "fine", "label": "positive"}, {"text": "poor", "label": "negative"}] * 5


@cache
def sound() -> str:
    """A repository with nothing wrong, by its ID, pushed once."""
    from huggingface_hub import HfApi

    HfApi().create_repo("tester/bad-input-sound")
    return push_model("tester/bad-input-sound", relatives(2)[0])


def push_files(repo: str, **files: bytes) -> str:
    """Uploads files, `__` in their keys standing for `/`, in one commit."""
    from huggingface_hub import CommitOperationAdd, HfApi

    added = [CommitOperationAdd(name.replace("__", "/"), content) for name, content in files.items()]
    HfApi().create_commit(repo, added, commit_message="files")
    return repo


def push_model(repo: str, tensors: dict[str, torch.Tensor]) -> str:
    files = {"model.safetensors": save(tensors, {"format": "pt"}), "config.json": json.dumps(CONFIG).encode()}
    return push_files(repo, **files, **{"vocab.txt": b"a\nb\nc\n"})


@contextmanager
def refused(folder: Path, sentence: str, kind: type[Exception] = InputError) -> Iterator[None]:
    """The block fails with this sentence, and the folder is afterwards what it was before."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(kind, match=sentence):
        yield
    assert sorted(folder.rglob("*")) == before


def merging_is_refused(folder: Path, sentence: str, *models: str | Path, **options) -> None:
    """Both ways to make a soup say so, and neither leaves anything in `folder`."""
    with refused(folder, sentence):
        Soup([*models], **options).merge(out=folder / "results" / "soup")
    with refused(folder, sentence):
        Soup([*models], **options).greedy(HeldOut(ROWS, task="text-classification"), out=folder / "results" / "soup")


def command_is_refused(capsys, folder: Path, *words) -> str:
    """Runs a command that must end with exit code 2 and leave nothing; returns what it says."""
    before = sorted(folder.rglob("*"))
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert end.value.code == 2, err
    assert out == ""
    assert "Traceback" not in err
    assert sorted(folder.rglob("*")) == before
    return err


# References


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("tester/there-is-no-such", "'tester/there-is-no-such': no such model repository, or it is private"),
        ("{sound}@no-such", "bad-input-sound@no-such': the repository has no such branch, tag or commit"),
        ("{sound}:no/such", "bad-input-sound.*: the repository has no folder 'no/such'"),
        ("{repo}:runs", "has no model.safetensors and no pytorch_model.bin"),
        ("{repo}:checkpoint-*", r"no folder of .* matches 'checkpoint-\*'"),
    ],
)
def test_a_reference_that_leads_to_no_model_is_refused(api, repo, tmp_path, reference, sentence):
    push_files(repo, runs__notes=b"nothing here yet")
    merging_is_refused(tmp_path, sentence, sound(), reference.format(repo=repo, sound=sound()))


def test_an_empty_repository_is_refused(api, repo, tmp_path):
    merging_is_refused(tmp_path, rf"{repo}@\w+: is empty, it holds no model", sound(), repo)


def test_a_private_repository_without_a_token_is_refused(api, repo, tmp_path):
    push_model(repo, relatives(2)[1])
    api.update_repo_settings(repo, private=True)
    merging_is_refused(tmp_path, f"'{repo}': .*private and the token cannot see it", sound(), repo, token=False)


def test_a_gated_repository_without_access_is_refused(api, hub, repo, tmp_path):
    push_model(repo, relatives(2)[1])
    api.update_repo_settings(repo, gated="manual")
    for token in (False, hub.reader_token):
        cache_dir = tmp_path / "cache"
        with refused(tmp_path / "results", f"{repo}@.*gated and this token has no access; ask for access"):
            Soup([sound(), repo], token=token, cache_dir=cache_dir).merge(out=tmp_path / "results" / "soup")
        assert not list(cache_dir.rglob("*.safetensors"))


def test_the_commands_say_all_of_it_at_once_without_a_traceback(capsys, api, repo, tmp_path):
    data = write_csv(tmp_path / "data.csv", ROWS)
    models = [sound(), "tester/there-is-no-such", f"{sound()}@no-such", repo]
    for words in (["merge"], ["greedy", "--data", data, "--task", "text-classification"]):
        said = command_is_refused(capsys, tmp_path, *words, *models, "-o", tmp_path / "results" / "soup")
        lines = said.strip().splitlines()
        assert len(lines) == 3, said
        for part in ("there-is-no-such", "no such branch", "is empty"):
            assert part in said


def test_one_ingredient_is_refused(tmp_path):
    merging_is_refused(tmp_path, "Only one ingredient: tester/bad-input-sound@", sound())


def test_the_same_ingredient_twice_is_refused(api, repo, tmp_path):
    a, b = relatives(2)
    push_model(repo, a)
    api.create_repo(f"{repo}-other")
    other = push_model(f"{repo}-other", b)
    copy = write_checkpoint(tmp_path / "copy", b, shards=3)
    by_digest = r"holds the same weights as .* \(equal digests\); name each ingredient once"
    merging_is_refused(tmp_path, by_digest, sound(), repo)
    merging_is_refused(tmp_path, by_digest, other, f"{other}@main", sound())
    merging_is_refused(tmp_path, by_digest, copy, copy, sound())
    # In other files the digests differ, the weights do not.
    merging_is_refused(tmp_path, "holds the same weights as .* in everything that was sampled", other, copy)


# Files


def file_of(header: dict | bytes, data: int = 8) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


def entry(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


CORRUPT = {
    "cut off": (save(relatives(1)[0])[:-100], "truncated or corrupt, download it again"),
    "no header": (b"\0\0", "has 2 bytes and is no safetensors file"),
    "a pointer of git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "corrupt or truncated"),
    "header too long": (struct.pack("<Q", 2**62) + b"{}", "says its header has 4,611,686,018,427,387,904 bytes"),
    "header longer than the file": (struct.pack("<Q", 999) + b"{}", "says its header has 999 bytes, but the file has 10"),
    "no JSON": (file_of(b"{]"), "header is not JSON"),
    "endless nesting": (file_of(b"[" * 100_000), "header is not JSON"),
    "no object": (file_of(b"[1]"), "header is not a JSON object"),
    "overlapping offsets": (file_of({"a": entry(), "w": entry(offsets=(4, 12))}, 12), "'w' overlaps the tensor before it"),
    "a hole": (file_of({"w": entry(offsets=(4, 12))}, 12), "'w' leaves a hole before it"),
    "offsets out of range": (file_of({"w": entry(shape=(900,), offsets=(0, 3600))}), "3,600 bytes of data, the file holds 8"),
    "negative offsets": (file_of({"w": entry(offsets=(-8, 0))}), "are no counts"),
    "unknown dtype": (file_of({"w": entry("F99")}), "dtype 'F99', which the format does not know"),
    "wrong dtype": (file_of({"w": entry("F16")}), r"is F16 \[2\] and needs 4 bytes, its offsets span 8"),
    "dtype that is no name": (file_of({"w": entry(["F32"])}), "which the format does not know"),
    "metadata that is no object": (file_of({"__metadata__": ["pt"], "w": entry()}), "__metadata__"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "sentence"), CORRUPT.values(), ids=CORRUPT.keys())
def test_a_corrupt_safetensors_file_is_refused_by_name(api, repo, tmp_path, content, sentence):
    push_files(repo, **{"model.safetensors": content, "config.json": json.dumps(CONFIG).encode()})
    merging_is_refused(tmp_path, rf"model\.safetensors of {repo}@.*{sentence}", sound(), repo)


def test_a_tensor_of_whole_numbers_where_the_others_have_weights_is_refused(api, repo, tmp_path):
    tensors = relatives(2)[1]
    tensors["classifier.weight"] = tensors["classifier.weight"].view(torch.int32)
    push_model(repo, tensors)
    merging_is_refused(tmp_path, "Tensor 'classifier.weight' .*I32", sound(), repo)


def index(shard: str) -> bytes:
    return json.dumps({"metadata": {}, "weight_map": {"w": shard}}).encode()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            index("model-00001-of-00002.safetensors"),
            "names the shard 'model-00001-of-00002.safetensors', which is missing",
        ),
        (index("../other/model.safetensors"), r"'\.\./other/model\.safetensors', which is not a file of that folder"),
        (index("/etc/passwd"), "'/etc/passwd', which is not a file of that folder"),
        (index("..\\model.safetensors"), "which is not a file of that folder"),
        (index("C:model.safetensors"), "'C:model.safetensors', which is missing"),
        (b'{"weight_map": ["model.safetensors"]}', "has no 'weight_map'"),
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
    ],
    ids=["missing shard", "up", "absolute", "backslash", "drive", "no map", "no JSON", "endless nesting"],
)
def test_an_index_that_leads_to_no_file_of_its_model_is_refused(api, repo, tmp_path, content, sentence):
    push_files(repo, **{"model.safetensors.index.json": content})
    merging_is_refused(tmp_path, rf"model\.safetensors\.index\.json of {repo}@.*{sentence}", sound(), repo)


@pytest.mark.parametrize("name", ["../evil.json", "a/../../evil.json", "..\\evil.json", "/evil.json", "C:evil.json"])
def test_a_repository_whose_file_names_lead_out_of_it_is_refused(api, hub, repo, tmp_path, monkeypatch, name):
    from huggingface_hub.utils import build_hf_headers, get_session

    push_model(repo, relatives(2)[1])
    # The real Hub and the loopback one accept no such name; this one does, as a malicious one would.
    monkeypatch.setattr("hf_soup.localhub.operations._checked_path", lambda change, value: value["path"])
    file = {"path": name, "content": base64.b64encode(b"{}").decode(), "encoding": "base64"}
    lines = [{"key": "header", "value": {"summary": "evil"}}, {"key": "file", "value": file}]
    get_session().post(
        f"{hub.endpoint}/api/models/{repo}/commit/main",
        headers=build_hf_headers() | {"Content-Type": "application/x-ndjson"},
        content="\n".join(map(json.dumps, lines)).encode(),
    ).raise_for_status()
    cache_dir, results = tmp_path / "deep" / "down" / "cache", tmp_path / "results"
    with refused(results, rf"{repo}@.*whose name leads out of its folder; nothing was downloaded"):
        Soup([sound(), repo], cache_dir=cache_dir).merge(out=results / "soup")
    assert not list(tmp_path.rglob("*evil.json"))
    assert not (cache_dir / f"models--{repo.replace('/', '--')}" / "snapshots").exists()


class Code:
    def __reduce__(self):
        return (Path.touch, (Path("code-was-run"),))


def test_a_pickle_with_code_is_refused_and_not_run(api, repo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.zeros(2), "code": Code()}, tmp_path / "evil.bin")
    push_files(repo, **{"pytorch_model.bin": (tmp_path / "evil.bin").read_bytes(), "config.json": b"{}"})
    merging_is_refused(tmp_path, rf"pytorch_model\.bin of {repo}@.*wants to run code.*was not opened", sound(), repo)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False])
def test_a_damaged_pickle_is_refused_whatever_is_damaged(tmp_path, zipped):
    """torch.load raises a dozen kinds of errors; where the damage goes unnoticed, the tensors come out."""
    from hf_soup.checkpoints import open_checkpoint

    file = tmp_path / "pytorch_model.bin"
    torch.save({"w": torch.zeros(3)}, file, _use_new_zipfile_serialization=zipped)
    whole = file.read_bytes()
    said = []
    for place in range(0, len(whole), max(1, len(whole) // 150)):
        for content in (whole[:place], whole[:place] + bytes([whole[place] ^ 0x84]) + whole[place + 1 :]):
            file.write_bytes(content)
            try:
                open_checkpoint(tmp_path).names()
            except InputError as error:
                said.append(str(error))
    assert len(said) > 50
    assert all(sentence.startswith("pytorch_model.bin of ") for sentence in said)


# Weights


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ([1, float("nan")], r"weight\[1\] = nan: input should be a finite number"),
        ([1, float("inf")], r"weight\[1\] = inf: input should be a finite number"),
        ([0, 0], "all weights are zero"),
        ([1, -1], "sum to zero"),
        ([1, 2, 3], "weight has 3 values for 2 models; give one per model"),
        ([1], "weight has 1 values for 2 models; give one per model"),
    ],
)
def test_mixing_weights_that_mean_nothing_are_refused(capsys, tmp_path, weights, sentence):
    folders = write_relatives(tmp_path, 2)
    with refused(tmp_path, sentence):
        Soup(folders).merge(weights=weights, out=tmp_path / "results" / "soup")
    given = f"--weights={','.join(map(str, weights))}"
    said = command_is_refused(capsys, tmp_path, "merge", *folders, given, "-o", tmp_path / "results" / "soup")
    assert len(said.strip().splitlines()) == 1
    assert re.search(sentence, said)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_model_with_nan_is_refused_or_stops_the_merge_by_name(tmp_path, value):
    a, b = relatives(2)
    a["encoder.layer.2.dense.weight"][40, 3] = value
    models = [write_checkpoint(tmp_path / "run-a", a), write_checkpoint(tmp_path / "run-b", b)]
    merging_is_refused(tmp_path, "run-a: tensor 'encoder.layer.2.dense.weight' holds NaN or infinity", *models)
    with refused(tmp_path, r"run-a: tensor 'encoder\.layer\.2\.dense\.weight' holds", NonFiniteWeights):
        Soup(models).merge(out=tmp_path / "soup", force=True)


def test_a_model_whose_weights_are_zero_is_refused(tmp_path):
    a, b, c = relatives(3)
    for tensor in a.values():
        tensor.zero_()
    models = [write_checkpoint(tmp_path / f"run-{i}", tensors) for i, tensors in enumerate((a, b, c))]
    merging_is_refused(tmp_path, "is zero in .*run-0 and not in the others; that model is damaged", *models)


# Held-out data


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("sentence,label\nfine,positive\n", "data.csv: has no column 'text'; its columns: sentence, label. Say which"),
        ("text,label\n", "data.csv: has no rows"),
        ("", "data.csv: has no rows"),
        (
            "text,label\nfine,positive\ngood,positive\n",
            "data.csv: all 2 rows have the label 'positive'; a model can be judged on two classes",
        ),
        ("text,label\nfine,good\npoor,bad\n", "Classes of the model: 0=negative, 1=positive"),
        ("text,label\nfine,positive\npoor,\n", "data.csv: row 2: 'label' is empty"),
    ],
    ids=["missing column", "no rows", "empty", "one class", "unknown labels", "no label"],
)
def test_held_out_data_that_cannot_judge_are_refused(capsys, tmp_path, content, sentence):
    folders = write_relatives(tmp_path, 2)
    data = tmp_path / "data.csv"
    data.write_text(content)
    words = ["--data", data, "--task", "text-classification"]
    said = command_is_refused(capsys, tmp_path, "greedy", *folders, *words, "-o", tmp_path / "results" / "soup")
    assert sentence in said
    assert sentence in command_is_refused(capsys, tmp_path, "evaluate", *folders, *words)
    with refused(tmp_path, re.escape(sentence)):
        Soup(folders).greedy(HeldOut(data, task="text-classification"), out=tmp_path / "results" / "soup")


def test_labels_that_the_models_do_not_know_are_found_before_weights_are_downloaded(api, repo, tmp_path):
    push_model(repo, relatives(2)[1])
    soup = Soup([sound(), repo], cache_dir=tmp_path / "cache")
    held_out = HeldOut([{**row, "label": f"very {row['label']}"} for row in ROWS], task="text-classification")
    with pytest.raises(InputError, match=r"--labels .*negative=very negative"):
        soup.greedy(held_out, out=tmp_path / "soup")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    assert [path.name for path in tmp_path.iterdir()] in ([], ["cache"])


# Disks


def writing_is_refused(folder: Path, out: Path, sentence: str, models: list[Path]) -> None:
    with refused(folder, sentence):
        Soup(models).merge(out=out)
    with refused(folder, sentence):
        Soup(models).greedy(HeldOut(ROWS, task="text-classification"), out=out, overwrite=True)


def test_an_output_below_a_file_is_refused(capsys, tmp_path):
    folders = write_relatives(tmp_path, 2)
    (tmp_path / "notes").write_text("mine")
    writing_is_refused(
        tmp_path, tmp_path / "notes" / "soup", "soup' cannot be made: .*is not a writable folder", folders
    )
    writing_is_refused(tmp_path, tmp_path / "notes", "notes' exists and is a file; name a folder", folders)
    out = tmp_path / "notes" / "soup"
    assert "cannot be made" in command_is_refused(capsys, tmp_path, "merge", *folders, "-o", out)
    assert (tmp_path / "notes").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user whom permissions hold back")
def test_an_output_in_a_folder_that_may_not_be_written_is_refused(tmp_path):
    folders = write_relatives(tmp_path, 2)
    (tmp_path / "closed").mkdir(mode=0o555)
    writing_is_refused(tmp_path, tmp_path / "closed" / "soup", "closed' is not a writable folder", folders)


@pytest.mark.parametrize(
    ("place", "fate"),
    [
        ("hf_soup.checkpoints.positioned_file.PositionedFile.reserve", "nothing is kept"),
        ("hf_soup.checkpoints.positioned_file.PositionedFile.write_at", "nothing is kept"),
        ("shutil.copyfile", "what was done is kept in 'soup.partial', and the same command goes on"),
        ("hf_soup.merging.record.SoupRecord.write", "what was done is kept in"),
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_disk_that_fills_up_at_any_stage_leaves_what_was_there(tmp_path, monkeypatch, place, fate, overwrite):
    folders = write_relatives(tmp_path, 2)
    if overwrite:
        (tmp_path / "soup").mkdir()
        (tmp_path / "soup" / "soup.json").write_text("an earlier result")

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = sorted(tmp_path.rglob("*"))
    with monkeypatch.context() as patch:
        patch.setattr(place, full)
        with pytest.raises(SoupError, match=rf"soup' failed .*No space left.*; {fate}"):
            Soup(folders).merge(out=tmp_path / "soup", overwrite=overwrite)
    partial = tmp_path / "soup.partial"
    assert sorted(path for path in tmp_path.rglob("*") if partial not in (path, *path.parents)) == before
    assert partial.exists() == ("is kept in" in fate)
    Soup(folders).merge(out=tmp_path / "soup", overwrite=overwrite)  # the disk has room again
    Soup(folders).merge(out=tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "run-0", "run-1", "soup"]
    for written in (tmp_path / "other").iterdir():
        assert (tmp_path / "soup" / written.name).read_bytes() == written.read_bytes()


def test_a_cache_that_cannot_be_written_is_said(api, repo, tmp_path):
    push_model(repo, relatives(2)[1])
    (tmp_path / "cache").write_text("not a folder")
    with refused(tmp_path, r"bad-input-sound@\w+: the local cache cannot be written .*cache_dir", SoupError):
        Soup([sound(), repo], cache_dir=tmp_path / "cache").merge(out=tmp_path / "soup")
