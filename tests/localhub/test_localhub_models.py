"""Unmodified transformers and peft push to the hub and load from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi
from huggingface_hub.errors import NotASafetensorsRepoError
from safetensors.torch import load_file, save_file

from hf_soup.localhub import LocalHub

pytestmark = pytest.mark.hub


@pytest.fixture(scope="module")
def bert() -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        num_labels=3,
    )
    return BertForSequenceClassification(config)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    from transformers import BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij"]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    return BertTokenizerFast(str(tmp_path / "vocab.txt"))


def same_weights(one: Any, other: Any) -> bool:
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_a_model_and_its_tokenizer_come_back_as_they_were_pushed(
    hub: LocalHub, api: HfApi, bert: Any, tokenizer: Any, repo_id: str
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    bert.push_to_hub(repo_id)
    tokenizer.push_to_hub(repo_id)
    loaded = AutoModelForSequenceClassification.from_pretrained(repo_id)
    assert same_weights(loaded, bert)
    assert AutoTokenizer.from_pretrained(repo_id)("a b c")["input_ids"] == tokenizer("a b c")["input_ids"]
    info = api.model_info(repo_id)
    count = sum(tensor.numel() for tensor in bert.state_dict().values())
    assert info.safetensors is not None
    assert (info.safetensors.parameters, info.safetensors.total) == ({"F32": count}, count)
    assert info.pipeline_tag == "text-classification"
    assert not any(request.authorized for request in hub.requests if request.origin == "cdn")


def test_a_pinned_revision_loads_the_weights_of_then(api: HfApi, bert: Any, repo_id: str) -> None:
    from copy import deepcopy

    from transformers import AutoModelForSequenceClassification

    first = bert.push_to_hub(repo_id).oid
    changed = deepcopy(bert)
    torch.nn.init.zeros_(changed.classifier.weight)
    changed.push_to_hub(repo_id)
    assert same_weights(AutoModelForSequenceClassification.from_pretrained(repo_id, revision=first), bert)
    assert same_weights(AutoModelForSequenceClassification.from_pretrained(repo_id), changed)


def test_a_sharded_model_loads_and_its_headers_are_told(api: HfApi, bert: Any, repo_id: str) -> None:
    from transformers import AutoModelForSequenceClassification

    bert.push_to_hub(repo_id, max_shard_size="8KB")
    shards = [name for name in api.list_repo_files(repo_id) if name.endswith(".safetensors")]
    assert len(shards) > 2
    assert same_weights(AutoModelForSequenceClassification.from_pretrained(repo_id), bert)
    metadata = api.get_safetensors_metadata(repo_id)
    assert metadata.sharded
    assert set(metadata.files_metadata) == set(shards)
    assert set(metadata.weight_map) == set(bert.state_dict())
    if hasattr(api, "get_sharded_safetensors_metadata"):  # huggingface_hub 2
        assert api.get_sharded_safetensors_metadata(repo_id).weight_map == metadata.weight_map
    info = api.model_info(repo_id)
    assert info.safetensors is not None
    assert info.safetensors.total == sum(tensor.numel() for tensor in bert.state_dict().values())


def test_headers_are_read_by_range_and_not_by_download(
    hub: LocalHub, api: HfApi, repo_id: str, tmp_path: Path
) -> None:
    tensors = {"a": torch.zeros(400, 400), "b": torch.ones(7, dtype=torch.int64)}
    save_file(tensors, tmp_path / "model.safetensors")
    api.upload_folder(repo_id=repo_id, folder_path=tmp_path)
    hub.clear_requests()
    metadata = api.get_safetensors_metadata(repo_id)
    assert metadata.parameter_count == {"F32": 160_000, "I64": 7}
    assert sum(request.sent for request in hub.requests) < 110_000


def test_a_repository_without_safetensors_says_so(api: HfApi, repo_id: str) -> None:
    with pytest.raises(NotASafetensorsRepoError):
        api.get_safetensors_metadata(repo_id)


@pytest.mark.parametrize(
    "data",
    [b"", b"short", b"\xff" * 100, b"\x10" + bytes(7) + b"not json........"],
    ids=["empty", "cut", "long", "no"],
)
def test_a_broken_weight_file_does_not_break_its_description(api: HfApi, repo_id: str, data: bytes) -> None:
    api.upload_file(path_or_fileobj=data, path_in_repo="model.safetensors", repo_id=repo_id)
    assert api.model_info(repo_id).safetensors is None


def test_an_index_that_names_a_missing_shard_is_refused(wire: Any, api: HfApi, repo_id: str) -> None:
    index = json.dumps({"weight_map": {"a": "model-00001-of-00001.safetensors"}}).encode()
    api.upload_file(path_or_fileobj=index, path_in_repo="model.safetensors.index.json", repo_id=repo_id)
    reply = wire("GET", f"/api/models/{repo_id}/safetensors-metadata/model.safetensors.index.json")
    assert reply.status == 400
    assert "model-00001-of-00001.safetensors" in reply.json()["error"]


def test_an_adapter_loads_onto_its_base(bert: Any, repo_id: str, new_repo: Any, tmp_path: Path) -> None:
    from copy import deepcopy

    from peft import AutoPeftModelForSequenceClassification, LoraConfig, PeftModel, get_peft_model

    base_id = repo_id
    bert.push_to_hub(base_id)
    base = deepcopy(bert)
    base.config._name_or_path = base.name_or_path = base_id
    torch.manual_seed(1)
    config = LoraConfig(r=2, target_modules=["query"], init_lora_weights=False, task_type="SEQ_CLS")
    adapter = get_peft_model(base, config)
    adapter.save_pretrained(tmp_path)
    adapter_id = new_repo()
    adapter.push_to_hub(adapter_id)
    loaded = PeftModel.from_pretrained(deepcopy(bert), adapter_id)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert saved
    mine, theirs = adapter.eval(), loaded.eval()
    ids = torch.tensor([[2, 5, 6, 3]])
    assert torch.equal(mine(input_ids=ids).logits, theirs(input_ids=ids).logits)
    whole = AutoPeftModelForSequenceClassification.from_pretrained(adapter_id, num_labels=3).eval()
    assert torch.equal(mine(input_ids=ids).logits, whole(input_ids=ids).logits)
