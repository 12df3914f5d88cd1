# /// script
# requires-python = ">=3.11"
# dependencies = ["hf-soup"]
# ///
"""Three families of image classifiers, three seeds each, that tell fake faces from real ones, and what their two tiers are worth.

    accelerate launch recipes/deepfake_ensemble.py train faces/ff faces/celeb-df -o deepfakes --augment \\
        --family vit=google/vit-base-patch16-224 --family convnext=facebook/convnext-tiny-224 --family resnet=microsoft/resnet-50
    python recipes/deepfake_ensemble.py table faces/ff faces/celeb-df -o deepfakes

The experiment of AWARE-NET (arXiv 2505.00312) with any image classifiers of the Hub, on faces that `deepfake_faces.py` makes.
`train` splits the videos of each data set 70/15/15 and fine-tunes every family with every seed on the first part; members that
are there already are kept, so the same command goes on. `table` fits temperatures and weights of the families on the held-out
part, and prints what members, families and ensemble do on the test part of their own data set and on all of every other one,
for faces and for videos (the mean over a video's faces); report.csv, report.json and a full report for each data set stand beside.

Whole videos are split, and whole groups of them where rows.csv has a column `group`: faces of one video look alike, so a split by
faces, as in the published code, tests on what was trained on. That code is also where the defaults come from (AdamW, learning rate
3e-4, weight decay 1e-4, batches of 32, two epochs, rotation, flip and colours); its shear and skew are left out.

The paper's architectures are timm's (pip install timm): --family res2net=timm/res2net101_26w_4s.in1k
--family efficientnet=timm/tf_efficientnet_b7.ns_jft_in1k --family xception=./xception, where the last is a folder, since timm brings its
weights from elsewhere: timm.models.save_for_hf(timm.create_model("legacy_xception", pretrained=True), "xception",
safe_serialization=True). Every member sees its own input size, where the published code has 224 pixels for all.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from hf_soup import Ensemble, HeldOut
from hf_soup.checkpoints import PinnedRef, open_checkpoint, resolve
from hf_soup.ensembles import MemberProbabilities
from hf_soup.ensembles.evidence import shown
from hf_soup.ensembles.evidence.document import EnsembleReport
from hf_soup.ensembles.evidence.grid import Grid
from hf_soup.ensembles.evidence.scored import LabelledRows
from hf_soup.ensembles.evidence.scoring import combined
from hf_soup.errors import InputError, SoupError
from hf_soup.evaluation.data_files import read_table
from hf_soup.evaluation.quiet import quiet_transformers
from hf_soup.evaluation.row_bar import row_bar
from hf_soup.problems import Problems
from hf_soup.progress import say
from hf_soup.ranks import is_main_process, on_main_process

LABELS = ("fake", "real")
SHARES = {"train": 0.70, "held-out": 0.15, "test": 0.15}
LEAST = {"train": 1, "held-out": 2, "test": 1}
"""Groups of each label in each set; two in the held-out one, since weights are judged by leaving groups of it out."""
SHOWN = ("auc", "f1_macro", "accuracy")
ENSEMBLE = "ensemble of both tiers"


@dataclass(frozen=True)
class Training:
    """How a member is trained. `workers`: processes that read pictures; they change nothing of the result."""

    epochs: int = 2
    batch: int = 32
    learning_rate: float = 3e-4
    weight_decay: float = 1e-4
    augment: bool = False
    workers: int = 0

    @property
    def decisive(self) -> dict[str, Any]:
        """What the weights depend on."""
        return {name: value for name, value in asdict(self).items() if name != "workers"}


@dataclass(frozen=True)
class Faces:
    """A folder of faces: rows with image (a path), label, video, frame, group."""

    name: str
    rows: list[dict[str, str]]

    @classmethod
    def read(cls, folder: Path) -> Faces:
        """Reads rows.csv; without a column `group` each video stands alone. Raises InputError with all problems."""
        if not (folder / "rows.csv").is_file():
            lacks = "has no rows.csv" if folder.is_dir() else "there is no such folder"
            raise InputError(f"{folder}: {lacks}; deepfake_faces.py makes folders of faces from videos.")
        try:
            table = read_table(folder / "rows.csv")
        except InputError as error:
            raise InputError([f"{folder}: {problem}" for problem in error.problems]) from error
        if missing := [name for name in ("image", "label", "video") if name not in table.columns]:
            raise InputError(f"{folder / 'rows.csv'}: has no column {', '.join(missing)}.")
        rows, problems = [], []
        earlier: dict[str, tuple[str, str]] = {}
        for number, row in enumerate(table.records, 1):
            image, video, label = folder / row["image"], row["video"], row["label"]
            group = row.get("group") or video
            if label not in LABELS:
                problems.append(f"{folder / 'rows.csv'}: row {number}: label '{label}' is neither real nor fake.")
            if not image.is_file():
                problems.append(f"{folder / 'rows.csv'}: row {number}: there is no file {row['image']}.")
            if earlier.setdefault(video, (label, group)) != (label, group):
                problems.append(
                    f"{folder / 'rows.csv'}: row {number}: {video} has another label or group in an earlier row."
                )
            rows.append({**row, "image": str(image), "group": group})
        name = table.records[0].get("dataset") or folder.resolve().name
        if name != Path(name).name:
            problems.append(f"{folder / 'rows.csv'}: the data set's name '{name}' cannot be the name of a folder.")
        if problems:
            raise InputError(problems)
        return cls(name, rows)

    def split(self, seed: int) -> dict[str, list[dict[str, str]]]:
        """The rows of each set. Raises InputError where there are too few groups of a label."""
        try:
            places = split_groups({(row["group"], row["label"]) for row in self.rows}, seed)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from error
        return {name: [row for row in self.rows if places[row["group"]] == name] for name in SHARES}


def split_groups(groups: set[tuple[str, str]], seed: int) -> dict[str, str]:
    """Returns the set of each group, 70/15/15 of the groups of each label; `groups`: every (group, label) that there is.

    A group is never divided; those with videos of both labels are spread like a third label. The order of rows does not matter.
    Raises InputError where a set would have too few groups of a label.
    """
    labels: dict[str, set[str]] = {}
    for group, label in groups:
        labels.setdefault(group, set()).add(label)
    kinds: dict[tuple[str, ...], list[str]] = {}
    for group in sorted(labels):
        kinds.setdefault(tuple(sorted(labels[group])), []).append(group)
    places: dict[str, str] = {}
    for kind, members in sorted(kinds.items()):
        random.Random(f"{seed} {kind}").shuffle(members)
        sizes = {name: max(least, round(SHARES[name] * len(members))) for name, least in LEAST.items()}
        train = len(members) - sizes["held-out"] - sizes["test"]
        order = ["held-out"] * sizes["held-out"] + ["test"] * sizes["test"] + ["train"] * train
        places |= dict(zip(members, order, strict=True)) if train > 0 else dict.fromkeys(members, "train")
    lacking = [
        f"{name} has {found} of {label}"
        for name, least in LEAST.items()
        for label in LABELS
        if (found := len({group for group, its in groups if its == label and places[group] == name})) < least
    ]
    if lacking:
        raise InputError(
            f"too few groups of videos for three sets ({', '.join(lacking)}); at least {sum(LEAST.values())} of each label are needed."
        )
    return places


class Crops:
    """A data set for torch: row `order[i]` of the faces, as the member's own processor makes it.

    `order`: (epoch, row) of every picture of the whole training. With `augment` a picture is turned, mirrored and coloured as
    the seed, the epoch and the row say, whichever process does it.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, str]],
        order: Sequence[tuple[int, int]],
        processor: Any,
        augment: bool,
        seed: int,
    ) -> None:
        self.rows, self.order, self.processor = rows, order, processor
        self.augment, self.seed = augment, seed

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> dict[str, Any]:
        from PIL import Image

        epoch, row = self.order[place]
        path = self.rows[row]["image"]
        try:
            with Image.open(path) as image:
                face = image.convert("RGB")
        except OSError as error:
            raise SoupError(
                f"{path}: cannot be read as a picture ({error}); make the faces of its video anew."
            ) from error
        if self.augment:
            face = augmented(face, random.Random(f"{self.seed} {epoch} {row}"))
        pixels = self.processor(images=face, return_tensors="pt")["pixel_values"][0]
        return {"pixel_values": pixels, "label": LABELS.index(self.rows[row]["label"])}


def augmented(face: Any, chance: random.Random) -> Any:
    """Turned by at most 15° (every second picture), mirrored (every second), brightness, contrast and colour ±20 % (30 of 100)."""
    from PIL import Image, ImageEnhance, ImageOps

    if chance.random() < 0.5:
        face = face.rotate(chance.uniform(-15, 15), Image.Resampling.BILINEAR)
    if chance.random() < 0.5:
        face = ImageOps.mirror(face)
    if chance.random() < 0.3:
        for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            face = change(face).enhance(chance.uniform(0.8, 1.2))
    return face


def train_member(start: Start, seed: int, rows: Sequence[Mapping[str, str]], training: Training, folder: Path) -> bool:
    """Makes the folder of one member, complete or not at all; returns False where it is there already.

    Raises InputError where it is there and was made from something else.
    """
    record = {"start": start.identity, "seed": seed, **training.decisive, "faces": _digest(rows)}
    about = folder / "training.json"
    if about.is_file():
        if (before := json.loads(about.read_text(encoding="utf-8"))) != record:
            differ = ", ".join(name for name in record if before.get(name) != record[name])
            raise InputError(
                f"{folder}: was trained with another {differ}; remove it, or name another folder with -o."
            )
        return False
    model, processor = fine_tune(start, seed, rows, training)

    def save() -> None:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as unfinished:
            complete = Path(unfinished) / folder.name
            with quiet_transformers():
                model.save_pretrained(complete)
                processor.save_pretrained(complete)
            _name_classes(complete / "config.json")
            _write_json(complete / "training.json", record)
            complete.rename(folder)

    on_main_process(save)
    return True


def fine_tune(start: Start, seed: int, rows: Sequence[Mapping[str, str]], training: Training) -> tuple[Any, Any]:
    """Returns (model on the CPU, image processor), trained on the devices and processes that Accelerate finds."""
    import torch
    from accelerate import Accelerator
    from accelerate.utils import set_seed
    from transformers import get_scheduler

    accelerator = Accelerator(cpu=not torch.accelerator.is_available())
    # The new head and the dropout begin with the seed, whatever was trained before.
    set_seed(seed)
    model, processor = start.open()
    order = _order(len(rows), training.epochs, seed)
    loader: Any = torch.utils.data.DataLoader(
        Crops(rows, order, processor, training.augment, seed),  # type: ignore[arg-type]  # has what a Dataset must have
        batch_size=training.batch,
        num_workers=training.workers,
        # Batch normalisation cannot train on the one picture that may be left at the end.
        drop_last=len(order) > training.batch,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    schedule = get_scheduler("cosine", optimizer, num_warmup_steps=len(loader) // 20, num_training_steps=len(loader))
    model.train()
    with (
        row_bar("training", len(loader)) if accelerator.is_main_process else nullcontext(lambda steps: None) as advance
    ):
        for batch in loader:
            logits = model(pixel_values=batch["pixel_values"]).logits
            loss = torch.nn.functional.cross_entropy(logits.float(), batch["label"])
            accelerator.backward(loss)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            advance(1)
    trained = accelerator.unwrap_model(model, keep_fp32_wrapper=False).cpu().eval()
    if accelerator.device.type != "cpu":
        accelerator.free_memory()
    return trained, processor


@dataclass(frozen=True)
class Start:
    """A classifier of the Hub, or in a folder, that a family begins with."""

    ref: PinnedRef

    @classmethod
    def of(cls, text: str) -> Start:
        found = resolve(text)
        if len(found) > 1:
            raise InputError(
                f"'{text}' names {len(found)} models; a family begins with one, and has a member for each seed."
            )
        return cls(found[0])

    @cached_property
    def identity(self) -> str:
        """Name and commit; of a folder, a digest of the weights."""
        return f"{self.ref.name}@{self.ref.revision or open_checkpoint(self.ref).identity}"

    def check(self) -> None:
        """Reads what stands beside the weights. Raises InputError for a model that `open` could not open."""
        from transformers import AutoConfig, AutoImageProcessor

        with self._named_errors():
            AutoConfig.from_pretrained(self._source, **self._where)
            AutoImageProcessor.from_pretrained(self._source, backend="pil", **self._where)

    def open(self) -> tuple[Any, Any]:
        """Returns the model, with a new head where its own is not for two classes, and its image processor; runs no code of theirs.

        Raises InputError, also where it is one of timm's and timm is not installed.
        """
        import torch
        from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

        classes = {
            "num_labels": len(LABELS),  # timm's wrapper goes by this alone
            "id2label": dict(enumerate(LABELS)),
            "label2id": {name: place for place, name in enumerate(LABELS)},
        }
        with self._named_errors(), quiet_transformers():
            # Pillow, as in evaluation: members see in training what they are judged on.
            processor = AutoImageProcessor.from_pretrained(self._source, backend="pil", **self._where)
            config = AutoConfig.from_pretrained(self._source, **classes, **self._where)
            # What timm saves names the number of classes a second time there, which its wrapper cannot take.
            (getattr(config, "model_args", None) or {}).pop("num_classes", None)
            model = AutoModelForImageClassification.from_pretrained(
                self._source, config=config, ignore_mismatched_sizes=True, dtype=torch.float32, **self._where
            )
        model.config._name_or_path = ""  # it would name a folder of this machine
        return model, processor

    @property
    def _source(self) -> str:
        return str(self.ref.path or self.ref.repo_id)

    @property
    def _where(self) -> dict[str, Any]:
        return {} if self.ref.path else {"revision": self.ref.revision, "subfolder": self.ref.subfolder or ""}

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, ImportError) as error:
            if isinstance(error, ImportError) and "timm" in str(error):
                raise InputError(
                    f"{self.ref.label}: is an architecture of timm, which is not installed: pip install timm, or begin the family with "
                    "a model of transformers."
                ) from error
            reason = str(error).strip().split("\n", 1)[0]
            raise InputError(
                f"{self.ref.label}: is no image classifier that transformers can open ({reason})."
            ) from error


@dataclass(frozen=True)
class Line:
    """One number of the table. `unit`: "face" or "video"; `n`: how many of them."""

    trained_on: str
    tested_on: str
    unit: str
    system: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int


def train(
    data: Sequence[Faces],
    families: Mapping[str, str],
    seeds: Sequence[int],
    out: Path,
    training: Training,
    split_seed: int = 0,
) -> int:
    """Trains, for each data set, the members that are not there; returns how many. Raises InputError with all problems."""
    parts = {faces.name: faces.split(split_seed) for faces in data}
    starts = _starts(families)
    made = 0
    for name, split in parts.items():
        place = out / name
        on_main_process(partial(_keep_split, place, split, split_seed))
        members = {family: {f"{family}-{seed}": seed for seed in seeds} for family in families}
        for family, by_name in members.items():
            for member, seed in by_name.items():
                if is_main_process():
                    say(f"{name}: {member} from {starts[family].ref.label}")
                made += train_member(starts[family], seed, split["train"], training, place / member)
        on_main_process(partial(_write_json, place / "members.json", {each: list(members[each]) for each in members}))
    return made


def _starts(families: Mapping[str, str]) -> dict[str, Start]:
    """Finds out before hours of training what would stop it after them."""
    starts: dict[str, Start] = {}
    problems: list[str] = []
    for family, text in families.items():
        try:
            starts[family] = Start.of(text)
            starts[family].check()
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return starts


def table(data: Sequence[Faces], out: Path) -> tuple[list[Line], list[str]]:
    """Fits an ensemble for each data set, tests it on all, writes the reports; returns the table's numbers and all warnings."""
    lines: list[Line] = []
    reports: dict[str, EnsembleReport] = {}
    for faces in data:
        place = out / faces.name
        parts = _kept_split(place, faces)
        members = json.loads((place / "members.json").read_text(encoding="utf-8"))
        families = {family: {name: place / name for name in names} for family, names in members.items()}
        held_out = HeldOut(
            parts["held-out"], task="image-classification", group_by="group", name=f"{faces.name} held-out"
        )
        others = {f"all of {other.name}": other.rows for other in data if other is not faces}
        rows = {f"test part of {faces.name}": parts["test"], **others}
        tests = {name: held_out.like(each, name=name) for name, each in rows.items()}
        ensemble = Ensemble(families, task="image-classification").fit(held_out, tests=tests)
        reports[faces.name] = ensemble.report
        for name, test in tests.items():
            said = ensemble.member_probabilities(test)
            lines += _lines(faces.name, name, _systems(said, combined(ensemble.combination, said)), said, rows[name])
    on_main_process(partial(_write, out, lines, reports))
    warnings = [f"Trained on {name}: {warning}" for name, report in reports.items() for warning in report.warnings]
    return lines, warnings


def grids(lines: Sequence[Line]) -> Iterator[Grid]:
    """Yields a table for each training set and unit: a line for each system and test set, a column for each metric."""
    for trained_on, unit in dict.fromkeys((line.trained_on, line.unit) for line in lines):
        here = [line for line in lines if (line.trained_on, line.unit) == (trained_on, unit)]
        body = []
        for tested_on, system in dict.fromkeys((line.tested_on, line.system) for line in here):
            cells = {line.metric: line for line in here if (line.tested_on, line.system) == (tested_on, system)}
            body.append([f"{tested_on}: {system}", *(_cell(cells[metric]) for metric in SHOWN)])
        counts = ", ".join(f"{n} of {name}" for name, n in dict.fromkeys((line.tested_on, line.n) for line in here))
        yield Grid(
            f"Trained on {trained_on}, judged by {unit} ({counts}), 95 % intervals over groups of videos",
            ["", *map(shown.title, SHOWN)],
            body,
        )


def _systems(said: MemberProbabilities, ensemble: Any) -> dict[str, Any]:
    """Probabilities [rows, classes] of every member, of every family as a whole, and of the ensemble, by name."""
    families = zip(said.families, said.family_values(), strict=True)
    return {
        **dict(zip(said.members, said.values, strict=True)),
        **{f"mean of {family.name}": values for family, values in families if len(family.members) > 1},
        ENSEMBLE: ensemble,
    }


def _lines(
    trained_on: str,
    tested_on: str,
    systems: Mapping[str, Any],
    said: MemberProbabilities,
    rows: Sequence[Mapping[str, str]],
) -> Iterator[Line]:
    """Yields the metrics of every system on faces, and on videos: what is said of a video is the mean over its faces."""
    import numpy as np

    names, first, video = np.unique([row["video"] for row in rows], return_index=True, return_inverse=True)
    faces = LabelledRows.of(said)
    videos = LabelledRows(
        names, faces.labels[first], faces.classes, None if faces.groups is None else faces.groups[first]
    )
    for system, probabilities in systems.items():
        sums = np.stack([np.bincount(video, column) for column in np.asarray(probabilities).T], axis=1)
        by_video = sums / np.bincount(video)[:, None]
        for unit, judged, values in (("face", faces, probabilities), ("video", videos, by_video)):
            for metric, found in judged.score(np.asarray(values), SHOWN).estimates.items():
                value = found.value if np.isfinite(found.value) else None
                yield Line(trained_on, tested_on, unit, system, metric, value, found.low, found.high, found.n)


def _write(out: Path, lines: Sequence[Line], reports: Mapping[str, EnsembleReport]) -> None:
    for name, report in reports.items():
        (out / name / "report.txt").write_text(f"{report}\n", encoding="utf-8")
    document = {
        "table": [asdict(line) for line in lines],
        "reports": {name: report.to_json() for name, report in reports.items()},
    }
    _write_json(out / "report.json", document)
    with (out / "report.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Line)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, lines))


def _cell(line: Line) -> str:
    return f"{shown.value(line.value, line.metric)} {shown.interval(line.low, line.high, line.metric)}".rstrip()


def _order(rows: int, epochs: int, seed: int) -> list[tuple[int, int]]:
    chance = random.Random(seed)
    return [(epoch, row) for epoch in range(epochs) for row in chance.sample(range(rows), rows)]


def _digest(rows: Sequence[Mapping[str, str]]) -> str:
    """Of what members are trained on: names, labels and sizes of the pictures."""
    essence = [
        (row["video"], row["label"], Path(row["image"]).name, Path(row["image"]).stat().st_size) for row in rows
    ]
    return hashlib.sha256(json.dumps(essence).encode()).hexdigest()


def _keep_split(place: Path, parts: Mapping[str, Sequence[Mapping[str, str]]], seed: int) -> None:
    """Writes which video is in which set; `table` reads it. Raises InputError where members were trained with another split."""
    split = {"seed": seed, "sets": {name: sorted({row["video"] for row in rows}) for name, rows in parts.items()}}
    file = place / "split.json"
    if file.is_file() and json.loads(file.read_text(encoding="utf-8")) != split:
        raise InputError(
            f"{file}: the videos, or the seed of the split, are others than when training began; name another folder with -o."
        )
    place.mkdir(parents=True, exist_ok=True)
    _write_json(file, split)


def _kept_split(place: Path, faces: Faces) -> dict[str, list[dict[str, str]]]:
    if not (place / "members.json").is_file():
        raise InputError(f"{place}: has no members; `train` makes them.")
    sets = json.loads((place / "split.json").read_text(encoding="utf-8"))["sets"]
    places = {video: name for name, videos in sets.items() for video in videos}
    if unknown := sorted({row["video"] for row in faces.rows} ^ set(places)):
        raise InputError(
            f"{place / 'split.json'}: {', '.join(unknown[:5])}: not in the split and the faces alike; train anew."
        )
    return {name: [row for row in faces.rows if places[row["video"]] == name] for name in SHARES}


def _name_classes(config: Path) -> None:
    """Says in config.json what the classes are where a wrapper (that of timm) says it in words of its own."""
    document = json.loads(config.read_text(encoding="utf-8"))
    if "id2label" not in document:
        document["id2label"] = {str(number): label for number, label in enumerate(LABELS)}
        _write_json(config, document)


def _write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    problems = Problems()
    read = [problems.of(partial(Faces.read, folder)) for folder in options.faces]
    problems.raise_any()
    data = [faces for faces in read if faces is not None]
    if len({faces.name for faces in data}) < len(data):
        raise InputError("Two of the data sets have the same name; give one another with --name of deepfake_faces.py.")
    if options.step == "train":
        training = Training(
            options.epochs,
            options.batch,
            options.learning_rate,
            options.weight_decay,
            options.augment,
            options.workers,
        )
        made = train(data, _families(options.family), options.seeds, options.out, training, options.split_seed)
        text = f"{made} members trained; they are in {options.out}."
    else:
        lines, warnings = table(data, options.out)
        text = "\n\n".join([*(grid.text() for grid in grids(lines)), "\n".join(warnings)])
        text += f"\n\nThe table is in {options.out / 'report.csv'} and report.json, full reports in */report.txt."
    if is_main_process():
        print(text)


def _families(given: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if wrong := [text for text, (name, _, model) in zip(given, pairs, strict=True) if not name or not model]:
        raise InputError(f"--family {wrong[0]}: is not of the form NAME=MODEL.")
    if len({name for name, _, _ in pairs}) < len(pairs):
        raise InputError("--family: two families have the same name.")
    return {name: model for name, _, model in pairs}


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    steps = parser.add_subparsers(dest="step", required=True)
    training = Training()
    for name, purpose in (("train", "split the videos and train the members"), ("table", "fit, test and print")):
        step = steps.add_parser(
            name, help=purpose, description=f"{name}: {purpose}.\n\n{__doc__}", formatter_class=plain
        )
        step.add_argument("faces", type=Path, nargs="+", help="folders of faces, a data set each")
        step.add_argument(
            "-o", "--out", type=Path, default=Path("deepfakes"), help="folder for members and reports (%(default)s)"
        )
        if name == "table":
            continue
        step.add_argument("--family", action="append", required=True, help="NAME=MODEL, a Hub ID or folder; repeat it")
        step.add_argument(
            "--seeds", type=int, nargs="+", default=[0, 1, 2], help="a member of each family for each (0 1 2)"
        )
        step.add_argument("--split-seed", type=int, default=0, help="of the three sets of videos (%(default)s)")
        step.add_argument("--epochs", type=int, default=training.epochs, help="rounds through the faces (%(default)s)")
        step.add_argument(
            "--batch", type=int, default=training.batch, help="faces of a step, in each process (%(default)s)"
        )
        rate, decay = training.learning_rate, training.weight_decay
        step.add_argument("--learning-rate", type=float, default=rate, help="of AdamW, at its highest (%(default)s)")
        step.add_argument("--weight-decay", type=float, default=decay, help="of AdamW (%(default)s)")
        step.add_argument("--augment", action="store_true", help="turn, mirror and colour the faces (off)")
        step.add_argument("--workers", type=int, default=2, help="processes that read pictures (%(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        print("\n".join(error.problems), file=sys.stderr)
        sys.exit(2)
    except SoupError as error:
        sys.exit(str(error))
