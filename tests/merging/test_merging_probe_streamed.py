"""The probe of models whose weights stay on the Hub: the same findings from few requests."""

from __future__ import annotations

import pytest
import torch
from tiny_checkpoints import relatives, write_checkpoint

from hf_soup.checkpoints import open_checkpoint
from hf_soup.merging import Ingredients, make_plan, probe
from hf_soup.merging.probe import MAX_BYTES

pytestmark = pytest.mark.hub
LAYERS = 40


def deep(seed: int, spread: float = 0.02, shape: tuple[int, int] = (200, 200)) -> dict[str, torch.Tensor]:
    """A model of 6.4 MB whose tensors are too many and too far apart to be held with all of the probe's spans."""
    ancestor = torch.Generator().manual_seed(seed // 10)
    own = torch.Generator().manual_seed(seed)
    made = {}
    for layer in range(LAYERS):
        start = torch.randn(shape, generator=ancestor)
        made[f"layer.{layer:02}.dense.weight"] = start + spread * torch.randn(shape, generator=own)
        made[f"layer.{layer:02}.norm.bias"] = torch.zeros(shape[0])
    return made


@pytest.fixture
def stored(api, repo, tmp_path):
    """Uploads models into repositories of their own; returns their IDs."""

    def upload(*models: dict[str, torch.Tensor]) -> list[str]:
        names = []
        for number, tensors in enumerate(models):
            name = f"{repo}-{number}"
            api.create_repo(name)
            folder = write_checkpoint(tmp_path / str(number), tensors)
            api.upload_folder(repo_id=name, folder_path=folder)
            names.append(name)
        return names

    return upload


def probed(names: list[str], base: str | None = None, stream: bool = True):
    models = tuple(open_checkpoint(name, stream=stream) for name in names)
    ingredients = Ingredients(models, open_checkpoint(base, stream=stream) if base else None)
    return probe(make_plan(ingredients), ingredients.base)


def weight_requests(hub, name: str) -> list:
    return [r for r in hub.requests if name in f"{r.path}/" and ("safetensors" in r.path or r.origin == "cdn")]


@pytest.fixture
def narrow(monkeypatch) -> None:
    """Bounds in proportion to these models, as 16 MiB are to models that are worth streaming."""
    monkeypatch.setattr("hf_soup.checkpoints.remote_checkpoint.HOLD_BYTES", 2_000_000)


def test_of_small_models_it_sees_what_it_sees_of_downloaded_ones(stored):
    names = stored(*relatives(3))
    streamed, downloaded = probed(names[:2], names[2]), probed(names[:2], names[2], stream=False)
    assert streamed.cosines.tolist() == downloaded.cosines.tolist()
    assert (streamed.problems, streamed.warnings) == (downloaded.problems, downloaded.warnings)
    assert streamed.bytes_read == downloaded.bytes_read


@pytest.mark.usefixtures("narrow")
def test_it_takes_a_header_and_at_most_eight_requests_of_each_model(stored, hub):
    names = stored(deep(1), deep(2), deep(3))
    hub.clear_requests()
    result = probed(names)
    assert result.problems == ()
    assert (result.cosines > 0.99).all()
    assert 100_000 < result.bytes_read <= MAX_BYTES
    for name in names:
        assert len(weight_requests(hub, f"{name}/")) <= 2 + 8


@pytest.mark.usefixtures("narrow")
def test_strangers_are_found(stored):
    result = probed(stored(deep(1), deep(2), deep(11)))
    assert "do not come from one pre-trained model" in result.problems[0]
    assert abs(result.cosines[0, 2]) < 0.05


@pytest.mark.usefixtures("narrow")
def test_models_that_differ_where_it_does_not_look_are_no_duplicates(stored):
    frozen = deep(1)
    tuned = {**frozen, "layer.07.norm.bias": frozen["layer.07.norm.bias"] + 1}
    result = probed(stored(frozen, tuned), base=None)
    assert result.problems == ()


@pytest.mark.usefixtures("narrow")
def test_the_same_weights_twice_are_found(stored):
    result = probed(stored(deep(1), deep(1)))
    assert "holds the same weights as" in result.problems[0]


@pytest.mark.usefixtures("narrow")
def test_a_streamed_model_is_compared_with_one_on_this_machine(stored, tmp_path):
    name = stored(deep(1))[0]
    local = open_checkpoint(write_checkpoint(tmp_path / "local", deep(2)))
    result = probe(make_plan(Ingredients((open_checkpoint(name, stream=True), local))))
    assert result.problems == ()
    assert result.cosines[0, 1] > 0.99
