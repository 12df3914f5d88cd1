"""What each task feeds to a model, against transformers row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluation_models import (
    bert_config,
    one_by_one,
    picture,
    save_bert,
    save_gpt2,
    save_llama,
    save_model,
    save_resnet,
    save_tokenizer,
    save_vit,
    sentences,
    text_rows,
)

from hf_soup.checkpoints import open_checkpoint
from hf_soup.errors import InputError
from hf_soup.evaluation import Evaluator, HeldOut, PredictionCache

TASK = "text-classification"


def test_pairs_of_texts_are_read_together(tmp_path: Path, cache: PredictionCache) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = save_bert(tmp_path / "bert")
    rows = [
        {**row, "text_pair": pair} for row, pair in zip(text_rows(8), sentences(8, seed=4, longest=8), strict=True)
    ]
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
    )
    with torch.inference_mode():
        expected = [
            model(**tokenizer(row["text"], row["text_pair"], return_tensors="pt")).logits[0].numpy() for row in rows
        ]
    found = Evaluator(HeldOut(rows, TASK), cache=cache).predictions(open_checkpoint(folder))
    assert found.logits == pytest.approx(np.array(expected), abs=1e-5)


def test_long_texts_are_cut_to_what_the_model_takes_and_said(
    berts: list[Path], cache: PredictionCache, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = text_rows(6)
    rows[2]["text"] = " ".join(["w5"] * 60)
    Evaluator(HeldOut(rows, TASK), cache=cache).score(open_checkpoint(berts[0]))
    assert "1 of 6 texts are longer than 22 tokens and were cut" in capsys.readouterr().err


def test_a_decoder_without_padding_token_takes_one_row_at_a_time(tmp_path: Path, cache: PredictionCache) -> None:
    from transformers import GPT2Config

    names = {"id2label": {0: "negative", 1: "positive"}, "label2id": {"negative": 0, "positive": 1}}
    config = GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=40, n_positions=24, **names)
    folder = save_model("GPT2ForSequenceClassification", config, tmp_path / "gpt2", 0)
    save_tokenizer(folder, pad=False)
    rows = text_rows(8)
    found = Evaluator(HeldOut(rows, TASK), cache=cache).predictions(open_checkpoint(folder))
    assert np.array_equal(found.logits, one_by_one(folder, [row["text"] for row in rows]))


@pytest.mark.parametrize("save", [save_gpt2, save_llama])
def test_language_models_give_nats_per_token(tmp_path: Path, cache: PredictionCache, save: Any) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = save(tmp_path / "model")
    texts = [*sentences(9), "w3"]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    nats, tokens = [], []
    with torch.inference_mode():
        for text in texts[:-1]:
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            loss = model(input_ids=ids, labels=ids).loss  # mean over all tokens but the first
            tokens.append(ids.shape[1] - 1)
            nats.append(float(loss) * tokens[-1])
    evaluator = Evaluator(HeldOut([{"text": text} for text in texts], "causal-lm", batch_size=4), cache=cache)
    found = evaluator.predictions(open_checkpoint(folder))
    assert found.nll == pytest.approx([*nats, 0], rel=1e-4)
    assert found.tokens.tolist() == [*tokens, 0]
    estimates = evaluator.evaluate(open_checkpoint(folder), ["nll", "perplexity"])
    assert estimates["perplexity"].value == pytest.approx(np.exp(sum(nats) / sum(tokens)), rel=1e-4)


def test_images_are_processed_by_the_models_own_processor(tmp_path: Path, cache: PredictionCache) -> None:
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    rows = [{"image": picture(number), "label": ("negative", "positive")[number % 2]} for number in range(6)]
    rows[3]["image"] = rows[3]["image"].convert("L")
    folders = [save_vit(tmp_path / f"vit-{seed}", seed) for seed in range(2)]
    evaluator = Evaluator(HeldOut(rows, "image-classification", batch_size=4), cache=cache)
    for folder in folders:
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        model = AutoModelForImageClassification.from_pretrained(folder)
        pixels = processor(images=[row["image"].convert("RGB") for row in rows], return_tensors="pt")
        with torch.inference_mode():
            expected = model(**pixels).logits.numpy()
        assert evaluator.predictions(open_checkpoint(folder)).logits == pytest.approx(expected, abs=1e-5)


def test_a_model_without_tokenizer_is_an_error(tmp_path: Path, cache: PredictionCache) -> None:
    folder = save_model("BertForSequenceClassification", bert_config(), tmp_path / "bert", 0)
    with pytest.raises(InputError, match="has no vocabulary"):
        Evaluator(HeldOut(text_rows(), TASK), cache=cache).score(open_checkpoint(folder))


def test_a_model_without_image_processor_is_an_error(tmp_path: Path, cache: PredictionCache) -> None:
    rows = [{"image": picture(number), "label": ("negative", "positive")[number]} for number in range(2)]
    with pytest.raises(InputError, match="no image processor"):
        Evaluator(HeldOut(rows, "image-classification"), cache=cache).score(
            open_checkpoint(save_resnet(tmp_path / "net"))
        )


def test_texts_of_one_token_each_are_an_error(tmp_path: Path, cache: PredictionCache) -> None:
    with pytest.raises(InputError, match="Every text is one token"):
        Evaluator(HeldOut([{"text": "w1"}], "causal-lm"), cache=cache).score(
            open_checkpoint(save_gpt2(tmp_path / "gpt2"))
        )
