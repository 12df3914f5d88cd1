"""Cards: what validation refuses and warns of, and what a description derives from them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from huggingface_hub import CommitOperationAdd, EvalResult, HfApi, ModelCard, ModelCardData

from hf_soup.localhub.cardrules import check_card
from hf_soup.localhub.vocabulary import LICENSES

if TYPE_CHECKING:
    from conftest import Wire

pytestmark = pytest.mark.hub


def card(**fields: Any) -> str:
    return f"---\n{yaml.safe_dump(fields)}---\n# Title\n"


def index(**changes: Any) -> list[dict]:
    """A complete model-index, with one result changed."""
    result = {
        "task": {"type": "text-classification"},
        "dataset": {"type": "d", "name": "D"},
        "metrics": [{"type": "accuracy", "value": 0.9}],
    }
    return [{"name": "m", "results": [{**result, **changes}]}]


@pytest.mark.parametrize(
    "fields",
    [
        {"license": "apache-2.0"},
        {"license": ["mit", "cc-by-4.0"]},
        {"license": "other", "license_name": "my-own", "license_link": "LICENSE"},
        {"license": "llama3.3"},
        {"base_model": "user/model"},
        {"base_model": ["gpt2", "user/model.v2"], "base_model_relation": "merge"},
        {"language": ["en", "deu", "multilingual"]},
        {"model-index": index()},
        {"anything_else": {"goes": [1, 2]}},
    ],
)
def test_what_the_hub_accepts(fields: dict) -> None:
    assert check_card(card(**fields), "model").errors == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"license": "apache2"}, '"license" must be one of [apache-2.0, mit, '),
        (
            {"base_model_relation": "soup"},
            '"base_model_relation" must be one of [adapter, merge, quantized, finetune]',
        ),
        ({"base_model": "/home/me/model"}, '"base_model" with value "/home/me/model" is not valid'),
        ({"base_model": ["a/b", "./c"]}, '"base_model[1]" with value "./c" is not valid'),
        ({"base_model": ["a/b", 3]}, '"base_model[1]" must be a string'),
        ({"language": "English"}, '"language" must only contain lowercase characters'),
        ({"language": ["en", "english"]}, '"language[1]" with value "english" is not valid'),
        ({"tags": "one"}, '"tags" must be an array'),
        ({"pipeline_tag": 3}, '"pipeline_tag" must be a string'),
        ({"model-index": {"name": "m"}}, '"model-index" must be an array'),
        ({"model-index": [{"results": []}]}, '"model-index[0].name" is required'),
        ({"model-index": index(task={})}, '"model-index[0].results[0].task.type" is required'),
        ({"model-index": index(dataset={"type": "d"})}, '"model-index[0].results[0].dataset.name" is required'),
        ({"model-index": index(metrics=[{"type": "f1"}])}, '"model-index[0].results[0].metrics[0].value" is required'),
        ({"model-index": index(metrics=None)}, '"model-index[0].results[0].metrics" is required'),
    ],
)
def test_what_the_hub_refuses(fields: dict, message: str) -> None:
    assert any(error.startswith(message) for error in check_card(card(**fields), "model").errors)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# No front matter", "empty or missing yaml metadata in repo card"),
        ("---\n---\n", "empty or missing yaml metadata in repo card"),
        (card(pipeline_tag="souping"), 'The pipeline tag "souping" is not in the official list'),
        (card(datasets=["my held out.csv"]), '"datasets[0]" with value "my held out.csv" is not valid'),
    ],
)
def test_what_the_hub_warns_of(text: str, message: str) -> None:
    found = check_card(text, "model")
    assert (found.errors, len(found.warnings)) == ([], 1)
    assert found.warnings[0].startswith(message)


@pytest.mark.parametrize("text", ["---\na: [\n---\n", "---\n- a\n- b\n---\n"])
def test_front_matter_that_is_no_mapping_is_an_error(text: str) -> None:
    assert len(check_card(text, "model").errors) == 1


def test_old_and_new_licences_of_the_documentation_are_known() -> None:
    recent = {"eupl-1.2", "openmdw-1.0", "openmdw-1.1", "apple-amlr", "llama4", "gemma", "grok2-community"}
    assert recent | {"apache-2.0", "openrail++", "cc-by-nc-nd-3.0", "c-uda", "lppl-1.3c", "other"} <= set(LICENSES)
    assert len(set(LICENSES)) == len(LICENSES) > 80


def test_validation_needs_no_token_and_answers_400_to_errors(wire: Wire) -> None:
    good = wire("POST", "/api/validate-yaml", body={"content": card(license="mit"), "repoType": "model"}, token=None)
    assert (good.status, good.json()) == (200, {"errors": [], "warnings": []})
    bad = wire("POST", "/api/validate-yaml", body={"content": card(license="x"), "repoType": "model"}, token=None)
    assert bad.status == 400
    assert bad.json()["errors"][0]["message"].startswith('"license" must be')


def test_a_card_made_by_huggingface_hub_is_accepted_without_a_warning(api: HfApi, repo_id: str) -> None:
    result = EvalResult("text-classification", "mine", "Mine", "accuracy", 0.9)
    data = ModelCardData(
        license="mit",
        base_model=["a/b", "c/d"],
        base_model_relation="merge",
        eval_results=[result],
        model_name="soup",
        library_name="transformers",
    )
    made = str(ModelCard(f"---\n{data.to_yaml()}\n---\n# Soup")).encode()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        api.create_commit(repo_id, [CommitOperationAdd("README.md", made)], commit_message="card")
    assert api.model_info(repo_id).card_data.eval_results == [result]


def test_a_client_stops_before_it_uploads_a_card_with_errors(hub: Any, api: HfApi, repo_id: str) -> None:
    hub.clear_requests()
    with pytest.raises(ValueError, match=r"Invalid metadata in README\.md"):
        api.upload_file(path_or_fileobj=card(license="x").encode(), path_in_repo="README.md", repo_id=repo_id)
    assert [request.path for request in hub.requests] == ["/api/validate-yaml"]


def test_tags_are_derived_from_card_config_and_files(api: HfApi, repo_id: str) -> None:
    fields = {
        "library_name": "transformers",
        "license": "mit",
        "language": ["en"],
        "datasets": ["user/data"],
        "base_model": ["a/b", "c/d"],
        "tags": ["soup"],
        "model-index": index(),
    }
    config = b'{"model_type": "bert", "architectures": ["BertForSequenceClassification"]}'
    files = {"README.md": card(**fields).encode(), "config.json": config, "model.safetensors": b"\0"}
    api.create_commit(repo_id, [CommitOperationAdd(*pair) for pair in files.items()], commit_message="m")
    info = api.model_info(repo_id)
    assert info.tags == [
        "transformers",
        "safetensors",
        "bert",
        "text-classification",
        "soup",
        "model-index",
        "en",
        "dataset:user/data",
        "base_model:a/b",
        "base_model:c/d",
        "base_model:merge:a/b",
        "base_model:merge:c/d",
        "license:mit",
        "region:us",
    ]
    assert (info.pipeline_tag, info.library_name, info.safetensors) == ("text-classification", "transformers", None)
    assert info.card_data["base_model"] == ["a/b", "c/d"]
    assert info.config == {"architectures": ["BertForSequenceClassification"], "model_type": "bert"}


@pytest.mark.parametrize(
    ("fields", "files", "relation"),
    [
        ({"base_model": "a/b"}, {}, "finetune"),
        ({"base_model": "a/b", "base_model_relation": "merge"}, {}, "merge"),
        ({"base_model": ["a/b", "c/d"]}, {}, "merge"),
        ({"base_model": "a/b"}, {"adapter_config.json": b"{}"}, "adapter"),
    ],
)
def test_the_relation_to_the_base_is_told_or_inferred(
    api: HfApi, repo_id: str, fields: dict, files: dict, relation: str
) -> None:
    files = {"README.md": card(**fields).encode(), **files}
    api.create_commit(repo_id, [CommitOperationAdd(*pair) for pair in files.items()], commit_message="m")
    assert f"base_model:{relation}:a/b" in api.model_info(repo_id).tags


def test_expand_asks_for_single_fields(wire: Wire, api: HfApi, repo_id: str) -> None:
    assert set(wire("GET", f"/api/models/{repo_id}?expand=sha&expand=private").json()) == {
        "_id",
        "id",
        "sha",
        "private",
    }
    assert api.model_info(repo_id, expand=["sha"]).siblings is None
