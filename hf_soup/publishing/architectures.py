"""What the ending of a transformers class name says about loading and using a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Usage:
    """`auto_class` loads the model, `preprocessor` its inputs; `pipeline_tag` is the Hub's name of the task."""

    auto_class: str
    preprocessor: str
    pipeline_tag: str | None


_TEXT, _IMAGE, _AUDIO, _MIXED = "AutoTokenizer", "AutoImageProcessor", "AutoFeatureExtractor", "AutoProcessor"

USAGES: dict[str, Usage] = {
    "ForSequenceClassification": Usage("AutoModelForSequenceClassification", _TEXT, "text-classification"),
    "ForTokenClassification": Usage("AutoModelForTokenClassification", _TEXT, "token-classification"),
    "ForQuestionAnswering": Usage("AutoModelForQuestionAnswering", _TEXT, "question-answering"),
    "ForMultipleChoice": Usage("AutoModelForMultipleChoice", _TEXT, "multiple-choice"),
    "ForMaskedLM": Usage("AutoModelForMaskedLM", _TEXT, "fill-mask"),
    "ForCausalLM": Usage("AutoModelForCausalLM", _TEXT, "text-generation"),
    "LMHeadModel": Usage("AutoModelForCausalLM", _TEXT, "text-generation"),
    "ForImageTextToText": Usage("AutoModelForImageTextToText", _MIXED, "image-text-to-text"),
    "ForImageClassification": Usage("AutoModelForImageClassification", _IMAGE, "image-classification"),
    "ForObjectDetection": Usage("AutoModelForObjectDetection", _IMAGE, "object-detection"),
    "ForSemanticSegmentation": Usage("AutoModelForSemanticSegmentation", _IMAGE, "image-segmentation"),
    "ForAudioClassification": Usage("AutoModelForAudioClassification", _AUDIO, "audio-classification"),
    "ForCTC": Usage("AutoModelForCTC", _MIXED, "automatic-speech-recognition"),
    "ForSpeechSeq2Seq": Usage("AutoModelForSpeechSeq2Seq", _MIXED, "automatic-speech-recognition"),
    "ForConditionalGeneration": Usage("AutoModelForSeq2SeqLM", _TEXT, None),
}
_ANY = Usage("AutoModel", _MIXED, None)


def usage_of(config: dict[str, Any]) -> Usage | None:
    """Returns how a model with this config.json is used; None when transformers could not load it.

    >>> usage_of({"architectures": ["BertForSequenceClassification"]}).auto_class
    'AutoModelForSequenceClassification'
    """
    named = config.get("architectures") or []
    for suffix, usage in USAGES.items():
        if named and str(named[0]).endswith(suffix):
            return usage
    return _ANY if named or "model_type" in config else None
