"""The recipes of the deepfake experiment, on short videos of a portrait that moves over backgrounds; its fakes are warped and blended."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file

from hf_soup.errors import InputError

av = pytest.importorskip("av", reason="the videos are read and made with av, of the extra 'test'")
pytest.importorskip("skimage", reason="the videos show the portrait of scikit-image, of the extra 'test'")

if TYPE_CHECKING:
    from huggingface_hub import HfApi

RECIPES = Path(__file__).parents[1] / "recipes"
FRAMES, SIDE, FACE = 12, 128, 48
VIDEOS = 6  # of each label


def recipe(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there for what annotations mean
    spec.loader.exec_module(module)
    return module


faces = recipe("deepfake_faces")
ensemble = recipe("deepfake_ensemble")


# The videos.


def portrait() -> np.ndarray:
    """The astronaut's face, uint8 [FACE, FACE, 3]."""
    from skimage.data import astronaut

    return np.asarray(Image.fromarray(astronaut()[40:200, 145:305]).resize((FACE, FACE)))


def warped(face: np.ndarray) -> np.ndarray:
    """Swirled, and blended with its mirror image."""
    from skimage.transform import swirl

    turned = swirl(face, strength=1.5, radius=FACE, preserve_range=True)
    return (0.7 * turned + 0.3 * face[:, ::-1]).astype(np.uint8)


def corner(frame: int, start: int) -> tuple[int, int]:
    """Left and top of the face: it moves by 3 and 2 pixels a frame, and stays far enough from the border for the margin."""
    return 14 + start + 3 * frame, 60 - start - 2 * frame


def background(number: int) -> np.ndarray:
    coarse = np.random.default_rng(number).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def write_video(path: Path, face: np.ndarray, number: int, codec: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        options = {"crf": "8"} if codec == "libx264" else {"qmin": "1", "qmax": "2"}
        stream = file.add_stream(codec, rate=FRAMES, options=options)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p" if codec == "libx264" else "yuvj420p"
        for frame in range(FRAMES):
            left, top = corner(frame, number % 4)
            picture = background(number).copy()
            picture[top : top + FACE, left : left + FACE] = face
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())


def write_videos(folder: Path, first: int, suffix: str, codec: str) -> list[list[Any]]:
    """Writes real and fake videos, and returns their boxes: video, frame, x0, y0, x1, y1."""
    boxes = []
    for label, face in (("real", portrait()), ("fake", warped(portrait()))):
        for number in range(first, first + VIDEOS):
            name = f"{label}/{number}{suffix}"
            write_video(folder / name, face, number, codec)
            for frame in range(FRAMES):
                left, top = corner(frame, number % 4)
                boxes.append([name, frame, left, top, left + FACE, top + FACE])
    return boxes


def write_boxes(path: Path, boxes: Sequence[Sequence[Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["video", "frame", "x0", "y0", "x1", "y1"], *boxes])
    return path


def damage(path: Path, frame: int) -> None:
    """Zeroes the middle of one frame's packet."""
    with av.open(str(path)) as file:
        packet = bytes([each for each in file.demux(video=0) if each.size][frame])
    content = bytearray(path.read_bytes())
    start = content.find(packet)
    for place in range(start + len(packet) // 3, start + 2 * len(packet) // 3):
        content[place] = 0
    path.write_bytes(content)


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sets, first/ and second/, with a file of boxes for each."""
    home = tmp_path_factory.mktemp("videos")
    for name, first, suffix, codec in (("first", 0, ".mp4", "libx264"), ("second", 100, ".avi", "mjpeg")):
        write_boxes(home / f"{name}.csv", write_videos(home / name, first, suffix, codec))
    return home


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A data set of one real and one fake video, with its boxes."""
    boxes = []
    for label, face in (("real", portrait()), ("fake", warped(portrait()))):
        write_video(tmp_path / "few" / label / "0.avi", face, 0, "mjpeg")
        for frame in range(FRAMES):
            left, top = corner(frame, 0)
            boxes.append([f"{label}/0.avi", frame, left, top, left + FACE, top + FACE])
    write_boxes(tmp_path / "few.csv", boxes)
    return tmp_path / "few"


def extract(videos: Path, out: Path, *more: str) -> int:
    return faces.main([str(videos), "-o", str(out), "--boxes", f"{videos}.csv", "--min-side", "32", *more])


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "rows.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Faces.


@pytest.mark.parametrize("name", ["first", "second"])
def test_every_picture_shows_the_face_of_its_frame(sets: Path, tmp_path: Path, name: str) -> None:
    assert extract(sets / name, tmp_path / name, "--real-frames", "4", "--fake-frames", "2") == 0

    rows = rows_of(tmp_path / name)
    assert Counter(row["label"] for row in rows) == {"real": 4 * VIDEOS, "fake": 2 * VIDEOS}
    assert {row["frame"] for row in rows if row["label"] == "real"} == {"1", "4", "7", "10"}
    assert {row["dataset"] for row in rows} == {name}
    shown = {"real": portrait(), "fake": warped(portrait())}
    for row in rows:
        with Image.open(tmp_path / name / row["image"]) as picture:
            assert picture.size == (256, 256)
            # 48 pixels of face and 12 of margin on every side.
            small = np.asarray(picture.resize((72, 72)))
        middle, border = small[12:60, 12:60], small[:9]
        assert np.corrcoef(middle.ravel(), shown[row["label"]].ravel())[0, 1] > 0.95
        # A frame earlier or later the face would lie 3 pixels beside.
        assert np.corrcoef(small[12:60, 9:57].ravel(), shown[row["label"]].ravel())[0, 1] < 0.9
        left, top = corner(int(row["frame"]), int(Path(row["video"]).stem) % 4)
        behind = background(int(Path(row["video"]).stem))[top - 12 : top - 3, left - 12 : left + 60]
        assert np.abs(border.astype(int) - behind).mean() < 12


def test_damaged_frames_are_named_and_the_others_keep_their_numbers(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(few / "real" / "0.avi", frame=5)
    assert extract(few, tmp_path / "faces") == 0

    assert "real/0.avi: frame 5: cannot be decoded." in capsys.readouterr().err
    frames = [int(row["frame"]) for row in rows_of(tmp_path / "faces") if row["label"] == "real"]
    assert frames == [frame for frame in range(FRAMES) if frame != 5]
    for frame in (4, 6):
        (row,) = (
            row for row in rows_of(tmp_path / "faces") if row["video"] == "real/0.avi" and row["frame"] == str(frame)
        )
        with Image.open(tmp_path / "faces" / row["image"]) as picture:
            middle = np.asarray(picture.resize((72, 72)))[12:60, 12:60]
        assert np.corrcoef(middle.ravel(), portrait().ravel())[0, 1] > 0.95


def test_videos_that_are_cut_off_or_none_are_named_and_the_others_go_on(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(few / "fake" / "1.mp4", warped(portrait()), 1, "libx264")
    cut(few / "fake" / "1.mp4", 0.7)  # an MP4 file has its table of contents at the end
    cut(few / "fake" / "0.avi", 0.6)  # an AVI file says at the beginning how many frames there are
    (few / "real" / "notes.mp4").write_text("no video")
    (few / "real" / "empty.mp4").write_bytes(b"")
    assert extract(few, tmp_path / "faces") == 3

    said = capsys.readouterr()
    for name in ("fake/1.mp4", "real/notes.mp4", "real/empty.mp4"):
        assert f"{name}: cannot be opened as a video" in said.err
    assert "fake/0.avi: frames 6, 7, 8, 9, 10, 11: cannot be decoded." in said.err.replace("frames 5, 6", "frames 6")
    assert "3 videos gave none" in said.out
    found = Counter(row["video"] for row in rows_of(tmp_path / "faces"))
    assert found["real/0.avi"] == FRAMES
    assert 5 <= found["fake/0.avi"] <= 6


def test_missing_boxes_and_small_faces_are_named(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = [["real/0.avi", 0, 20, 20, 60, 60], ["real/0.avi", 1, "", "", "", ""], ["real/0.avi", 2, 20, 20, 60, 40]]
    write_boxes(
        few.with_suffix(".csv"), [*boxes, ["real/0.avi", 3, 200, 0, 260, 60], ["real/0.avi", 40, 20, 20, 60, 60]]
    )
    assert extract(few, tmp_path / "faces") == 3

    said = capsys.readouterr().err
    for problem in (
        "fake/0.avi: no box is known for any of its frames.",
        "real/0.avi: frame 1: no face was found.",
        "real/0.avi: frame 2: the face is smaller than 32 pixels.",
        "real/0.avi: frame 3: the box lies outside the picture.",
        "real/0.avi: frame 40: the video has 12 frames.",
    ):
        assert problem in said
    assert [row["frame"] for row in rows_of(tmp_path / "faces")] == ["0"]


def test_boxes_that_are_none_are_all_listed(few: Path) -> None:
    write_boxes(
        few.with_suffix(".csv"),
        [["a", "x", 1, 1, 2, 2], ["a", 0, 1, 1, 1, 2], ["a", 1, 1, 1, 2, 2], ["a", 1, 1, 1, 2, 2]],
    )
    with pytest.raises(InputError) as caught:
        faces.GivenBoxes(few.with_suffix(".csv"))
    assert [problem.split(":")[1].strip() for problem in caught.value.problems] == ["row 1", "row 2", "row 4"]


def test_a_second_run_opens_only_what_changed(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (few / "real" / "notes.mp4").write_text("no video")
    out = tmp_path / "faces"
    opened = []
    read_frames = faces.read_frames
    monkeypatch.setattr(
        faces, "read_frames", lambda path, choose: opened.append(path.name) or read_frames(path, choose)
    )
    assert extract(few, out) == 3
    assert len(opened) == 3
    rows = rows_of(out)
    # As if the process had been killed while it wrote that it had finished a video.
    journal = (out / "videos.jsonl").read_bytes()
    (out / "videos.jsonl").write_bytes(journal + b'{"video": "rea')

    opened.clear()
    assert extract(few, out) == 3
    assert opened == []
    assert rows_of(out) == rows

    write_video(few / "real" / "notes.mp4", portrait(), 1, "libx264")
    assert extract(few, out) == 3  # its boxes are not known
    assert opened == ["notes.mp4"]
    with pytest.raises(InputError, match="another margin"):
        extract(few, out, "--margin", "0.5")


def test_a_list_of_videos_says_what_stays_together(few: Path, tmp_path: Path) -> None:
    listed = few / "videos.csv"
    listed.write_text("video,label,group\nreal/0.avi,real,ann\nfake/0.avi,fake,ann\n")
    detector = faces.Detector(lambda video, images: dict.fromkeys(images, (20, 20, 60, 60)), "the middle")
    found = faces.extract_faces(
        listed, tmp_path / "faces", detector, faces.Settings({"real": 2, "fake": 1}, min_side=32), "few"
    )
    assert [(row["video"], row["group"], row["dataset"]) for row in found.rows] == [
        ("real/0.avi", "ann", "few"),
        ("real/0.avi", "ann", "few"),
        ("fake/0.avi", "ann", "few"),
    ]
    listed.write_text("video,label\nreal/0.avi,true\nreal/0.avi,real\n")
    with pytest.raises(InputError) as caught:
        faces.find_videos(listed)
    assert len(caught.value.problems) == 2


def test_a_detector_of_transformers_finds_boxes_in_the_picture(few: Path, tmp_path: Path) -> None:
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessorPil

    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = YolosConfig(**small, image_size=[64, 64], num_detection_tokens=8, id2label={0: "hand", 1: "face"})
    model = YolosForObjectDetection(config)
    torch.manual_seed(1)
    for parameter in model.parameters():  # as it is made, it says the same of every place
        parameter.data = 0.5 * torch.randn(parameter.shape)
    model.save_pretrained(tmp_path / "detector")
    YolosImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(tmp_path / "detector")

    with pytest.raises(InputError, match=r"finds no 'head'; .* face, hand"):
        faces.HubDetector(str(tmp_path / "detector"), "head")
    images, trouble = faces.read_frames(few / "real" / "0.avi", lambda frames: range(frames))
    assert not trouble
    # The same by hand: of the queries whose likeliest class is the face, the one with the highest probability.
    processor = YolosImageProcessorPil.from_pretrained(tmp_path / "detector")
    with torch.inference_mode():
        outputs = model.eval()(**processor(images=list(images.values()), return_tensors="pt"))
    scores, classes = outputs.logits.softmax(-1)[..., :-1].max(-1)
    scores = torch.where(classes == 1, scores, 0)
    best, place = scores.max(-1)
    assert ((scores > 0).sum(-1) > 1).all()
    assert (place != (scores > 0).int().argmax(-1)).any()  # it is not always the first
    expected = {}
    for frame, query in enumerate(place):
        x, y, width, height = outputs.pred_boxes[frame, query].tolist()
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        expected[frame] = pytest.approx([SIDE * each for each in corners], abs=0.01)

    detector = faces.HubDetector(str(tmp_path / "detector"), "face", threshold=0.0)
    assert detector.find("real/0.avi", images) == expected
    uncertain = float(best.sort().values[FRAMES // 2 - 1 : FRAMES // 2 + 1].mean())
    detector = faces.HubDetector(str(tmp_path / "detector"), "face", threshold=uncertain)
    assert detector.find("real/0.avi", images) == {
        frame: box for frame, box in expected.items() if best[frame] > uncertain
    }


# Splits.


@given(
    videos=st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["real", "fake"])), min_size=1, max_size=120),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_no_group_of_videos_is_in_two_sets(videos: list[tuple[int, str]], seed: int) -> None:
    groups = {(str(group), label) for group, label in videos} | {
        (f"{label} {number}", label) for label in ("real", "fake") for number in range(4)
    }
    rows = [{"video": f"{group} {label}", "group": group, "label": label} for group, label in sorted(groups)]
    parts = ensemble.Faces("videos", rows).split(seed)

    together = [{row["group"] for row in part} for part in parts.values()]
    assert sum(map(len, together)) == len(set.union(*together)) == len({group for group, _ in groups})
    assert sum(map(len, parts.values())) == len(rows)
    assert all({row["label"] for row in part} == {"real", "fake"} for part in parts.values())
    assert ensemble.Faces("videos", rows[::-1]).split(seed).keys() == parts.keys()
    assert {row["video"] for row in ensemble.Faces("videos", rows[::-1]).split(seed)["test"]} == {
        row["video"] for row in parts["test"]
    }


@pytest.mark.parametrize("seed", range(5))
def test_the_sets_are_70_15_and_15_percent_of_each_label(seed: int) -> None:
    groups = {(f"{label} {number}", label) for label in ("real", "fake") for number in range(100)}
    places = ensemble.split_groups(groups, seed)
    counts = Counter((label, places[group]) for group, label in groups)
    for label in ("real", "fake"):
        assert [counts[label, name] for name in ensemble.SHARES] == [70, 15, 15]
    assert places != ensemble.split_groups(groups, seed + 1)


def test_too_few_videos_are_refused() -> None:
    rows = [
        {"video": f"{label} {n}", "group": f"{label} {n}", "label": label}
        for label in ("real", "fake")
        for n in range(4)
    ]
    ensemble.Faces("videos", rows).split(0)
    with pytest.raises(InputError, match=r"videos: too few groups .*held-out has 0 of fake"):
        ensemble.Faces("videos", rows[:-1]).split(0)


# Members and table.


def save_classifiers(folder: Path) -> dict[str, Path]:
    """Three families, each with a head for three classes that have nothing to do with faces."""
    import transformers as t

    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    models = {
        "vit": t.ViTForImageClassification(t.ViTConfig(**small, image_size=32, patch_size=8, num_labels=3)),
        "convnext": t.ConvNextForImageClassification(
            t.ConvNextConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], num_labels=3)
        ),
        "resnet": t.ResNetForImageClassification(
            t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic", num_labels=3)
        ),
    }
    for name, model in models.items():
        model.save_pretrained(folder / name)
        t.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder / name)
    return {name: folder / name for name in models}


@pytest.fixture(scope="module")
def experiment(sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `out` after training on both data sets, beside their faces."""
    home = tmp_path_factory.mktemp("experiment")
    for name in ("first", "second"):
        extract(sets / name, home / name, "--real-frames", "3", "--fake-frames", "2")
    save_classifiers(home / "models")
    return home


def train(home: Path, *more: str) -> None:
    families = [f"--family={name}={home / 'models' / name}" for name in ("vit", "convnext", "resnet")]
    folders = [str(home / name) for name in ("first", "second")]
    options = ["--seeds", "0", "1", "--epochs", "1", "--workers", "0", "--augment"]
    ensemble.main(["train", *folders, "-o", str(home / "out"), *families, *options, *more])


def auc_by_hand(model: Path, faces: Path) -> tuple[float, float]:
    """The area under the curve over faces and over the means of videos, with transformers and scikit-learn alone."""
    from sklearn.metrics import roc_auc_score
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    rows = rows_of(faces)
    processor = AutoImageProcessor.from_pretrained(model, backend="pil")
    classifier = AutoModelForImageClassification.from_pretrained(model).eval()
    pictures = [Image.open(faces / row["image"]).convert("RGB") for row in rows]
    with torch.inference_mode():
        logits = classifier(**processor(images=pictures, return_tensors="pt")).logits
    real = logits.softmax(-1)[:, classifier.config.label2id["real"]].numpy()
    videos = sorted({(row["video"], row["label"]) for row in rows})
    means = [np.mean([p for p, row in zip(real, rows, strict=True) if row["video"] == video]) for video, _ in videos]
    return (
        roc_auc_score([row["label"] == "real" for row in rows], real),
        roc_auc_score([label == "real" for _, label in videos], means),
    )


def test_both_directions_come_out_of_it_and_nothing_is_trained_twice(
    experiment: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_on: list[set[str]] = []
    fine_tune = ensemble.fine_tune
    monkeypatch.setattr(
        ensemble,
        "fine_tune",
        lambda start, seed, rows, training: (
            trained_on.append({row["video"] for row in rows}) or fine_tune(start, seed, rows, training)
        ),
    )
    train(experiment)
    assert "12 members trained" in capsys.readouterr().out
    out = experiment / "out"
    ensemble.main(["table", str(experiment / "first"), str(experiment / "second"), "-o", str(out)])
    text = capsys.readouterr().out

    reports = json.loads((out / "report.json").read_text())
    for here, other in (("first", "second"), ("second", "first")):
        rows = rows_of(experiment / here)
        sets = {
            name: set(videos) for name, videos in json.loads((out / here / "split.json").read_text())["sets"].items()
        }
        assert sum(map(len, sets.values())) == len(set.union(*sets.values())) == 2 * VIDEOS
        assert set.union(*sets.values()) == {row["video"] for row in rows}
        assert trained_on.count(sets["train"]) == 6
        counted = {name: sum(row["video"] in videos for row in rows) for name, videos in sets.items()}
        assert len(set(counted.values())) == 3
        expected = {
            f"{here} held-out": counted["held-out"],
            f"test part of {here}": counted["test"],
            f"all of {other}": len(rows_of(experiment / other)),
        }
        assert {each["name"]: each["rows"] for each in reports["reports"][here]["sets"]} == expected
        assert [each["name"] for each in reports["reports"][here]["weights"]] == ["vit", "convnext", "resnet"]
        assert f"Trained on {here}, judged by video" in text
        assert f"Trained on {here}: {here} held-out has only" in text
        assert "also among the fitting rows" not in text

    members = [f"{family}-{seed}" for family in ("vit", "convnext", "resnet") for seed in (0, 1)]
    systems = [*members, "mean of vit", "mean of convnext", "mean of resnet", "ensemble of both tiers"]
    with (out / "report.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert Counter(
        (line["trained_on"], line["tested_on"], line["unit"], line["system"], line["metric"]) for line in lines
    ) == Counter(
        (here, tested_on, unit, system, metric)
        for here, other in (("first", "second"), ("second", "first"))
        for tested_on in (f"test part of {here}", f"all of {other}")
        for unit in ("face", "video")
        for system in systems
        for metric in ("auc", "f1_macro", "accuracy")
    )
    found = {
        line["unit"]: float(line["value"])
        for line in lines
        if (line["trained_on"], line["tested_on"]) == ("first", "all of second")
        and (line["system"], line["metric"]) == ("vit-0", "auc")
    }
    assert (found["face"], found["video"]) == pytest.approx(
        auc_by_hand(out / "first" / "vit-0", experiment / "second")
    )
    for line in lines:
        if line["tested_on"].startswith("all of"):
            assert int(line["n"]) == (5 * VIDEOS if line["unit"] == "face" else 2 * VIDEOS)

    trained = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    assert len(trained) == 12
    train(experiment)
    assert "0 members trained" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == trained
    with pytest.raises(InputError, match="vit-0: was trained with another learning_rate"):
        train(experiment, "--learning-rate", "0.1")


def test_what_is_said_of_a_video_is_the_mean_over_its_faces() -> None:
    """Two faces of a real video, .9 and .2, and one of a fake one, .5: by faces one pair of two is in order, by videos the only one."""
    said = ensemble.MemberProbabilities.of(
        {"a": [[0.9, 0.2, 0.5]]}, labels=[1, 1, 0], classes=["fake", "real"], ids=["x", "y", "z"]
    )
    rows = [{"video": "r"}, {"video": "r"}, {"video": "f"}]
    lines = {(line.unit, line.metric): line for line in ensemble._lines("t", "t", {"a": said.values[0]}, said, rows)}
    assert lines["face", "auc"].value == 0.5
    assert lines["video", "auc"].value == 1.0
    assert (lines["face", "auc"].n, lines["video", "auc"].n) == (3, 2)


def test_augmentation_depends_on_the_seed_the_epoch_and_the_face_alone(tmp_path: Path) -> None:
    Image.fromarray(portrait()).save(tmp_path / "face.png")
    rows = [{"image": str(tmp_path / "face.png"), "label": "real"}] * 8

    def pictures(order: list[tuple[int, int]], augment: bool = True, seed: int = 0) -> list[bytes]:
        def processor(images: Image.Image, return_tensors: str) -> dict[str, Any]:
            assert images.size == (FACE, FACE)
            return {"pixel_values": [images.tobytes()]}

        crops = ensemble.Crops(rows, order, processor, augment, seed)
        assert crops[0]["label"] == ensemble.LABELS.index("real")
        return [crops[place]["pixel_values"] for place in range(len(crops))]

    order = [(0, row) for row in range(8)]
    once = pictures(order)
    assert pictures(order[::-1])[::-1] == once
    assert len(set(once)) > 4  # one in six or so stays as it is
    assert pictures([(1, row) for row in range(8)]) != once
    assert pictures(order, seed=1) != once
    assert pictures(order, augment=False) == [portrait().tobytes()] * 8


@pytest.mark.skipif(find_spec("timm") is not None, reason="timm is installed, so its architectures can be opened")
def test_what_stops_a_family_is_said_before_anything_is_trained(few: Path, tmp_path: Path) -> None:
    """A folder as timm publishes its models, and one without an image processor."""
    config = {"architecture": "legacy_xception", "num_classes": 1000, "pretrained_cfg": {"input_size": [3, 299, 299]}}
    folders = {"xception": config, "bare": {"model_type": "vit"}}
    for name, content in folders.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        ensemble._starts({name: str(tmp_path / name) for name in folders})
    first, second = caught.value.problems
    assert "xception: is an architecture of timm, which is not installed: pip install timm" in first
    assert "bare: is no image classifier that transformers can open" in second


@pytest.mark.hub
def test_a_family_begins_at_a_commit_of_the_hub(api: HfApi, repo: str, tmp_path: Path) -> None:
    save_classifiers(tmp_path)
    api.upload_folder(repo_id=repo, folder_path=tmp_path / "resnet", path_in_repo="runs/1")
    start = ensemble.Start.of(f"{repo}:runs/1")
    api.delete_folder("runs", repo_id=repo)

    assert start.identity == f"{repo}:runs/1@{api.list_repo_commits(repo)[1].commit_id}"
    start.check()
    model, _ = start.open()
    assert model.config.id2label == {0: "fake", 1: "real"}
    assert model.classifier[-1].out_features == 2
    name = "resnet.embedder.embedder.convolution.weight"
    assert torch.equal(model.state_dict()[name], load_file(tmp_path / "resnet" / "model.safetensors")[name])


def test_faces_that_are_not_there_or_contradict_each_other_are_listed(tmp_path: Path) -> None:
    rows = ["a.png,real,v,v", "b.png,real,v,v", "a.png,fake,v,v", "a.png,real,v,w", "a.png,true,w,w"]
    (tmp_path / "rows.csv").write_text("\n".join(["image,label,video,group", *rows, ""]))
    Image.fromarray(portrait()).save(tmp_path / "a.png")
    with pytest.raises(InputError) as caught:
        ensemble.Faces.read(tmp_path)
    said = [problem.split(": ", 1)[1] for problem in caught.value.problems]
    assert said == [
        "row 2: there is no file b.png.",
        "row 3: v has another label or group in an earlier row.",
        "row 4: v has another label or group in an earlier row.",
        "row 5: label 'true' is neither real nor fake.",
    ]


def test_without_av_one_sentence_says_what_to_install_before_a_detector_is_loaded(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"PyAV, which cannot be imported .*: pip install av$"):
        faces.main([str(few), "-o", str(tmp_path / "out"), "--detector", str(tmp_path / "no-detector")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("step", "known"),
    [
        (["train"], ["--epochs", "--learning-rate", "--weight-decay", "--split-seed", "--batch", "--workers"]),
        (["table"], ["--out"]),
        (None, ["--threshold", "--margin", "--size"]),
    ],
)
def test_help_shows_the_example_and_every_default(
    step: list[str] | None, known: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    module = faces if step is None else ensemble
    with pytest.raises(SystemExit):
        module.parsed([*(step or []), "--help"])
    said = capsys.readouterr().out
    example = next(line for line in (module.__doc__ or "").splitlines() if "recipes/deepfake_" in line)
    assert example in said  # as it stands there, to be copied
    _, options = said.split("options:\n")
    given = ["x", "-o", "o", "--boxes", "b"] if step is None else [*step, "x", "-o", "deepfakes"]
    defaults = vars(module.parsed([*given, *(["--family", "a=b"] if step == ["train"] else [])]))
    for option in known:
        value = defaults[option.strip("-").replace("-", "_")]
        described = " ".join(options[options.index(f" {option} ") :].split("\n  -")[0].split())
        assert described.endswith(f"({value})")
    if step is None:
        assert "pip install hf-soup av" in said


def test_folders_that_are_no_faces_are_all_named(tmp_path: Path) -> None:
    for name in ("empty", "bare"):
        (tmp_path / name).mkdir()
    (tmp_path / "empty" / "rows.csv").write_text("image,label,video\n")
    folders = [tmp_path / name for name in ("empty", "bare", "gone")]
    with pytest.raises(InputError) as caught:
        ensemble.main(["table", *map(str, folders), "-o", str(tmp_path / "out")])
    assert list(caught.value.problems) == [
        f"{folders[0]}: rows.csv: has no rows.",
        f"{folders[1]}: has no rows.csv; deepfake_faces.py makes folders of faces from videos.",
        f"{folders[2]}: there is no such folder; deepfake_faces.py makes folders of faces from videos.",
    ]
    with pytest.raises(InputError, match="gone: there is no such folder, and no such CSV file"):
        faces.find_videos(folders[2])
