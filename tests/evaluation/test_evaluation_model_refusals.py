"""Checkpoints that cannot be judged, or only on the user's word: each says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from evaluation_logits import CAUSAL, CPU, IMAGE, TEXT, logits_of, skeleton_of
from evaluation_models import (
    bert_config,
    save_bert,
    save_mixtral,
    save_model,
)
from safetensors.torch import load_file, save_file

from hf_soup.checkpoints import open_checkpoint
from hf_soup.errors import InputError
from hf_soup.evaluation import Skeleton


def test_a_missing_head_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = save_model("BertModel", bert_config(), tmp_path / "body", 0)
    with pytest.raises(
        InputError, match=r"body.*has no tensor for 'classifier.bias', 'classifier.weight'.*random values"
    ):
        skeleton_of(folder, TEXT)


def test_a_tensor_of_another_shape_is_an_error_that_shows_both(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "bert")
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.weight"] = torch.zeros(3, 16)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"'classifier.weight' is \[3, 16\].*expect \[2, 16\]"):
        skeleton_of(folder, TEXT)


def test_a_model_for_another_task_is_an_error_that_names_its_class(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "bert")
    with pytest.raises(
        InputError, match=r"BertForSequenceClassification.*cannot be loaded as AutoModelForImageClassification"
    ):
        skeleton_of(folder, IMAGE)


def test_a_checkpoint_without_config_is_an_error(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(2)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"config.json is missing or names no model_type"):
        skeleton_of(tmp_path, TEXT)


def test_code_of_the_model_is_not_run_without_the_users_word(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig", TEXT: "own.OwnModel"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'was-run')!r}, 'w')\n")
    with pytest.raises(InputError, match=r"brings code of its own.*trust_remote_code=True"):
        skeleton_of(folder, TEXT)
    assert not (tmp_path / "was-run").exists()


def test_a_checkpoint_of_another_layout_is_refused(tmp_path: Path, berts: list[Path]) -> None:
    other = save_bert(tmp_path / "wide", hidden_size=32)
    with pytest.raises(InputError, match="differ from the model in memory"):
        skeleton_of(berts[0], TEXT).load(open_checkpoint(other))


OWN_CODE = """
import torch
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

class OwnConfig(PreTrainedConfig):
    model_type = "own"

class OwnModel(PreTrainedModel):
    config_class = OwnConfig
    def __init__(self, config):
        super().__init__(config)
        self.table = torch.nn.Embedding(40, 2)
        self.post_init()
    def forward(self, input_ids, attention_mask=None):
        return SequenceClassifierOutput(logits=self.table(input_ids).mean(1))
"""


def test_code_of_the_model_is_run_on_the_users_word(tmp_path: Path) -> None:
    import transformers

    folders = []
    for seed in range(2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        table = torch.randn(40, 2, generator=torch.Generator().manual_seed(seed))
        save_file({"table.weight": table}, folder / "model.safetensors", metadata={"format": "pt"})
        config = {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig", TEXT: "own.OwnModel"}}
        (folder / "config.json").write_text(json.dumps({**config, "architectures": ["OwnModel"], "dtype": "float32"}))
        (folder / "own.py").write_text(OWN_CODE)
        folders.append(folder)
    skeleton = Skeleton(open_checkpoint(folders[0]), TEXT, CPU, trust_remote_code=True)
    assert skeleton.one_to_one
    for folder in folders:
        expected = transformers.AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
        assert torch.equal(logits_of(skeleton.load(open_checkpoint(folder)), TEXT), logits_of(expected, TEXT))


def test_a_missing_expert_is_an_error(tmp_path: Path) -> None:
    folder = save_mixtral(tmp_path / "moe")
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if "layers.1.block_sparse_moe.experts" in name]:
        del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"has no tensor for 'model.layers.1.mlp.experts.down_proj'"):
        skeleton_of(folder, CAUSAL)


def test_a_quantised_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({**config, "quantization_config": {"quant_method": "gptq", "bits": 4}})
    )
    with pytest.raises(InputError, match="is quantised"):
        skeleton_of(folder, TEXT)
