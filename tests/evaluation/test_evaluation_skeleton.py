"""A checkpoint copied into the model in memory is the model that transformers loads, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from evaluation_logits import CAUSAL, CPU, IMAGE, TEXT, inputs_of, logits_of, oracle, skeleton_of
from evaluation_models import (
    save_bert,
    save_gpt2,
    save_llama,
    save_mixtral,
    save_model,
    save_resnet,
    save_vit,
)
from safetensors.torch import load_file, save_file

from hf_soup.checkpoints import open_checkpoint
from hf_soup.evaluation import Skeleton


@pytest.mark.parametrize(
    ("save", "auto_class", "one_to_one"),
    [
        (save_bert, TEXT, True),
        (save_vit, IMAGE, True),
        (save_resnet, IMAGE, True),
        (save_gpt2, CAUSAL, True),
        (save_llama, CAUSAL, True),
        (save_mixtral, CAUSAL, False),
    ],
)
def test_logits_equal_those_of_from_pretrained_bit_for_bit(
    tmp_path: Path, save: Callable[..., Path], auto_class: str, one_to_one: bool
) -> None:
    folders = [save(tmp_path / f"run-{seed}", seed) for seed in (1, 2)]
    skeleton = skeleton_of(folders[0], auto_class)
    assert skeleton.one_to_one == one_to_one
    for folder in (*folders, folders[0]):
        logits = logits_of(skeleton.load(open_checkpoint(folder)), auto_class)
        assert torch.equal(logits, oracle(folder, auto_class))
    assert not torch.equal(oracle(folders[0], auto_class), oracle(folders[1], auto_class))


def test_every_tensor_and_buffer_equals_that_of_from_pretrained(tmp_path: Path) -> None:
    from transformers import AutoModelForImageClassification

    first, second = save_resnet(tmp_path / "a", 1), save_resnet(tmp_path / "b", 2)
    loaded = skeleton_of(first, IMAGE).load(open_checkpoint(second)).state_dict()
    expected = AutoModelForImageClassification.from_pretrained(second).state_dict()
    assert loaded.keys() == expected.keys()
    assert all(
        torch.equal(loaded[name], expected[name]) and loaded[name].dtype == expected[name].dtype for name in loaded
    )


def test_names_in_files_and_in_memory_are_matched_where_they_differ(tmp_path: Path) -> None:
    sources = skeleton_of(save_vit(tmp_path / "vit"), IMAGE).name_map.sources
    in_memory = "vit.layers.1.attention.q_proj.weight"
    assert sources[in_memory] == "vit.encoder.layer.1.attention.attention.query.weight"


def test_tied_weights_have_one_source(tmp_path: Path) -> None:
    sources = skeleton_of(save_llama(tmp_path / "llama"), CAUSAL).name_map.sources
    assert sources["lm_head.weight"] == sources["model.embed_tokens.weight"] == "model.embed_tokens.weight"


@pytest.mark.parametrize("equal", [True, False])
def test_tied_weights_that_are_in_the_files_twice_are_what_transformers_makes_of_them(
    tmp_path: Path, equal: bool
) -> None:
    first, second = save_llama(tmp_path / "a", 1), save_llama(tmp_path / "b", 2)
    for folder in (first, second):
        tensors = load_file(folder / "model.safetensors")
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        if not equal:
            tensors["lm_head.weight"] *= 2
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    skeleton = skeleton_of(first, CAUSAL)
    assert torch.equal(logits_of(skeleton.load(open_checkpoint(second)), CAUSAL), oracle(second, CAUSAL))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_model_has_the_dtype_of_its_config(tmp_path: Path, dtype: torch.dtype) -> None:
    first, second = (save_bert(tmp_path / str(seed), seed, dtype=dtype) for seed in (1, 2))
    model = skeleton_of(first, TEXT).load(open_checkpoint(second))
    assert next(model.parameters()).dtype == dtype
    assert torch.equal(logits_of(model, TEXT), oracle(second, TEXT))


@pytest.mark.parametrize("in_config", ["bfloat16", None])
def test_weights_stored_in_another_dtype_than_the_config_are_cast_as_transformers_casts_them(
    tmp_path: Path, in_config: str | None
) -> None:
    folder = save_bert(tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text())
    config["dtype"] = in_config
    if in_config is None:
        del config["dtype"]
    (folder / "config.json").write_text(json.dumps(config))
    model = skeleton_of(folder, TEXT).load(open_checkpoint(folder))
    assert next(model.parameters()).dtype == (torch.float32 if in_config is None else torch.bfloat16)
    assert torch.equal(logits_of(model, TEXT), oracle(folder, TEXT))


def test_a_base_model_without_the_prefix_fills_a_model_whose_head_is_tied(tmp_path: Path) -> None:
    from transformers import GPT2Config

    config = GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=40, n_positions=24)
    folder = save_model("GPT2Model", config, tmp_path / "gpt2", 3)
    assert "wte.weight" in load_file(folder / "model.safetensors")
    model = skeleton_of(folder, CAUSAL).load(open_checkpoint(folder))
    assert torch.equal(logits_of(model, CAUSAL), oracle(folder, CAUSAL))


def test_copying_writes_into_the_memory_that_is_there(berts: list[Path]) -> None:
    skeleton = skeleton_of(berts[0], TEXT)
    before = {
        name: tensor.data_ptr() for name, tensor in skeleton.load(open_checkpoint(berts[0])).state_dict().items()
    }
    after = {name: tensor.data_ptr() for name, tensor in skeleton.load(open_checkpoint(berts[1])).state_dict().items()}
    assert before == after


def test_a_model_that_its_user_has_cast_is_made_anew(berts: list[Path]) -> None:
    skeleton = skeleton_of(berts[0], TEXT)
    skeleton.load(open_checkpoint(berts[0])).half()
    assert torch.equal(logits_of(skeleton.load(open_checkpoint(berts[0])), TEXT), oracle(berts[0], TEXT))


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.parametrize(("save", "auto_class"), [(save_bert, TEXT), (save_vit, IMAGE)])
def test_a_merge_that_is_computed_on_read_equals_the_written_one(
    tmp_path: Path, save: Callable[..., Path], auto_class: str, dtype: str | None
) -> None:
    from hf_soup.merging import make_plan, merge, open_ingredients

    folders = [save(tmp_path / f"run-{seed}", seed) for seed in range(3)]
    plan = make_plan(open_ingredients([str(folder) for folder in folders]), dtype=dtype)
    skeleton = Skeleton(plan.virtual(), auto_class, CPU)
    candidate = logits_of(skeleton.load(plan.virtual()), auto_class)
    merge(plan, tmp_path / "soup")
    assert candidate.dtype == (torch.bfloat16 if dtype else torch.float32)
    assert torch.equal(candidate, oracle(tmp_path / "soup", auto_class))


FORGETFUL_CODE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
class ForgetfulConfig(PretrainedConfig):
    model_type = "forgetful"
class ForgetfulModel(PreTrainedModel):
    config_class = ForgetfulConfig
    def __init__(self, config):
        super().__init__(config)
        self.table = torch.nn.Embedding(40, 2)
        self.post_init()
    def forward(self, input_ids, attention_mask=None):
        logits = self.table(input_ids).mean(1)
        self.table.weight.data.mul_(0.5)
        return SequenceClassifierOutput(logits=logits)
"""


def test_weights_that_the_models_own_code_changes_are_copied_anew_though_they_come_from_one_place(
    tmp_path: Path,
) -> None:
    from hf_soup.merging import make_plan, open_ingredients

    save_file({"table.weight": torch.randn(40, 2)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    classes = {"AutoConfig": "forgetful.ForgetfulConfig", TEXT: "forgetful.ForgetfulModel"}
    config = {"model_type": "forgetful", "auto_map": classes, "dtype": "float32"}
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": ["ForgetfulModel"]}))
    (tmp_path / "forgetful.py").write_text(FORGETFUL_CODE)
    model = open_checkpoint(tmp_path)
    copy = make_plan(open_ingredients([tmp_path])).virtual()
    assert (copy.origins(), copy.identity == model.identity) == (model.origins(), False)
    skeleton = Skeleton(model, TEXT, CPU, trust_remote_code=True)
    first = logits_of(skeleton.load(model), TEXT)
    assert torch.equal(logits_of(skeleton.load(copy), TEXT), first)


def test_what_is_in_memory_already_is_not_copied_again(berts: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from hf_soup.merging import make_plan, open_ingredients
    from hf_soup.merging.virtual import VirtualCheckpoint

    skeleton = skeleton_of(berts[0], TEXT)
    first = logits_of(skeleton.load(open_checkpoint(berts[0])), TEXT)
    monkeypatch.setattr(VirtualCheckpoint, "read_span", None)
    same = make_plan(open_ingredients([berts[0]])).virtual()
    assert torch.equal(logits_of(skeleton.load(same), TEXT), first)


@pytest.mark.gpu
@pytest.mark.parametrize(("save", "auto_class"), [(save_bert, TEXT), (save_vit, IMAGE), (save_llama, CAUSAL)])
def test_on_a_gpu_logits_equal_those_of_from_pretrained_bit_for_bit(
    tmp_path: Path, save: Callable[..., Path], auto_class: str
) -> None:
    import transformers

    folders = [save(tmp_path / f"run-{seed}", seed) for seed in (1, 2)]
    device = torch.device("cuda")
    skeleton = Skeleton(open_checkpoint(folders[0]), auto_class, device)
    inputs = {name: tensor.to(device) for name, tensor in inputs_of(auto_class).items()}
    for folder in folders:
        expected = getattr(transformers, auto_class).from_pretrained(folder).to(device)
        with torch.inference_mode():
            found = skeleton.load(open_checkpoint(folder))(**inputs).logits
            assert torch.equal(found, expected(**inputs).logits)
