# /// script
# requires-python = ">=3.11"
# dependencies = ["hf-soup", "av>=14"]
# ///
"""Videos become faces: a folder of square pictures with their labels, for `deepfake_ensemble.py` or any image classifier.

    pip install hf-soup av
    python recipes/deepfake_faces.py VIDEOS -o faces/celeb-df --detector user/face-detector --detector-label face
    python recipes/deepfake_faces.py VIDEOS -o faces/celeb-df --boxes boxes.csv

VIDEOS is a folder with the subfolders `real` and `fake`, or a CSV file `video,label` whose paths are relative to it. A third
column `group` says which videos must stay together when they are split: a fake and those it was made of show the same people
(FaceForensics++ names both in the file, 000_003.mp4). --detector is any object detector of transformers on the Hub or in a folder;
no code of the repository is run. --boxes is a file `video,frame,x0,y0,x1,y1` (pixels, frames from 0, video as in rows.csv; blank
coordinates: no face there), from a detector of your own; only frames that stand in it are taken.

As in the code published with AWARE-NET (arXiv 2505.00312): at most 32 frames of a real video and 16 of a fake one, evenly spread,
of each the best face, widened by 25 %, none whose shorter side is below 64 pixels, resized to 256. Pictures are PNG, since JPEG
would lay its own traces over those that tell a fake. What cannot be read is named and the rest goes on. After Ctrl-C the same
command goes on; videos that are done and have not changed are not opened again. Exit code 3: a video gave no face at all.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_soup.errors import InputError, SoupError
from hf_soup.progress import say

LABELS = ("fake", "real")
MOST_FRAMES = {"fake": 16, "real": 32}
COLUMNS = ("image", "label", "video", "frame", "group", "dataset")
_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}
_AT_ONCE = 8

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels from the upper left corner."""


@dataclass(frozen=True)
class Video:
    """`name`: how tables, boxes and messages name it. `group`: what it must stay together with in splits."""

    path: Path
    name: str
    label: str
    group: str


@dataclass(frozen=True)
class Settings:
    """What decides the pictures. `margin`: added on every side, in parts of the longer side of a box. Sides in pixels."""

    most_frames: Mapping[str, int] = field(default_factory=lambda: dict(MOST_FRAMES))
    margin: float = 0.25
    min_side: int = 64
    size: int = 256


@dataclass(frozen=True)
class Extracted:
    """`rows`: as in rows.csv. `problems`: one sentence each. `opened`: videos that this call worked on. `without`: that gave no face."""

    rows: list[dict[str, Any]]
    problems: list[str]
    opened: int
    without: int


class Detector:
    """Finds the face in frames: a function (video, {frame: picture}) → {frame: box}; a frame that is not in the answer has no face.

    `identity`: changes when its answers may; with another one a folder of faces is not gone on with.
    """

    def __init__(self, find: Callable[[str, Mapping[int, Any]], Mapping[int, Box]], identity: str) -> None:
        self.find = find
        self.identity = identity

    def choices(self, video: Video, frames: int) -> Sequence[int]:
        """The frames that it can tell about, of so many."""
        return range(frames)


class GivenBoxes(Detector):
    """Boxes from a CSV file. Raises InputError with all rows that cannot be understood."""

    def __init__(self, path: Path) -> None:
        self.boxes: dict[str, dict[int, Box | None]] = {}
        problems = []
        for number, row in _table(path, ("video", "frame", "x0", "y0", "x1", "y1")):
            try:
                frame = int(row["frame"])
                corners = [row[name].strip() for name in ("x0", "y0", "x1", "y1")]
                box = None if not any(corners) else _box(map(float, corners))
            except ValueError as error:
                problems.append(
                    f"{path.name}: row {number}: {error}; a frame is a whole number, a box has x0 < x1, y0 < y1."
                )
                continue
            known = self.boxes.setdefault(row["video"], {})
            if frame in known:
                problems.append(
                    f"{path.name}: row {number}: frame {frame} of {row['video']} is there twice; keep the best face."
                )
            known[frame] = box
        if problems:
            raise InputError(problems)
        super().__init__(self._found, f"boxes {hashlib.sha256(path.read_bytes()).hexdigest()}")

    def choices(self, video: Video, frames: int) -> Sequence[int]:
        return sorted(self.boxes.get(video.name, {}))

    def _found(self, video: str, images: Mapping[int, Any]) -> dict[int, Box]:
        known = self.boxes.get(video, {})
        return {frame: box for frame in images if (box := known.get(frame)) is not None}


class HubDetector(Detector):
    """An object detector of transformers, pinned to its commit. Of several faces in a frame the most certain one is taken."""

    def __init__(self, model: str, label: str, threshold: float = 0.5, device: str | None = None) -> None:
        from transformers import AutoImageProcessor, AutoModelForObjectDetection

        from hf_soup.checkpoints import open_checkpoint, resolve
        from hf_soup.evaluation.hardware import Hardware

        (ref,) = resolve(model)
        where = {"revision": ref.revision, "subfolder": ref.subfolder or ""} if ref.path is None else {}
        source = str(ref.path or ref.repo_id)
        try:
            self._processor = AutoImageProcessor.from_pretrained(source, **where)
            self._model = AutoModelForObjectDetection.from_pretrained(source, **where).eval()
        except (OSError, ValueError, ImportError) as error:
            raise InputError(
                f"{ref.label}: is no object detector that transformers can open ({_brief(error)})."
            ) from error
        names = self._model.config.id2label
        self._wanted = {number for number, name in names.items() if name == label}
        if not self._wanted:
            known = ", ".join(sorted(map(str, names.values())))
            raise InputError(f"{ref.label}: finds no '{label}'; say --detector-label with one of: {known}.")
        self._threshold = threshold
        self._device = Hardware(device).device
        self._model.to(self._device)
        weights = ref.revision or open_checkpoint(ref).identity
        super().__init__(self._found, f"{ref.name}@{weights} {label} {threshold}")

    def _found(self, video: str, images: Mapping[int, Any]) -> dict[int, Box]:
        import torch

        found: dict[int, Box] = {}
        numbers = list(images)
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            pictures = [images[number] for number in some]
            inputs = self._processor(images=pictures, return_tensors="pt").to(self._device)
            with torch.inference_mode():
                outputs = self._model(**inputs)
            sizes = [(picture.height, picture.width) for picture in pictures]
            results = self._processor.post_process_object_detection(
                outputs, threshold=self._threshold, target_sizes=sizes
            )
            for number, result in zip(some, results, strict=True):
                faces = [
                    (score, box)
                    for score, label, box in zip(
                        *(result[key].tolist() for key in ("scores", "labels", "boxes")), strict=True
                    )
                    if label in self._wanted
                ]
                if faces:
                    found[number] = tuple(max(faces)[1])
        return found


def extract_faces(
    source: Path, out: Path, detector: Detector, settings: Settings | None = None, dataset: str | None = None
) -> Extracted:
    """Writes the faces of all videos of `source` below `out`, with rows.csv (columns `COLUMNS`), and returns what came of it.

    `dataset`: the name in the rows; the folder's own without. Raises InputError for a source that cannot be understood, and for
    a folder whose faces were made with other settings or another detector.
    """
    settings = settings or Settings()
    videos = find_videos(source)
    out.mkdir(parents=True, exist_ok=True)
    _claim(out, detector, settings)
    done = _journal(out / "videos.jsonl")
    rows, problems, opened, without = [], [], 0, 0
    for number, video in enumerate(videos, 1):
        key = _key(video)
        if (entry := done.get(video.name)) is None or entry["key"] != key:
            entry = {"video": video.name, "key": key, **_faces_of(video, out, detector, settings)}
            with (out / "videos.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            opened += 1
            say(f"{number} of {len(videos)}: {video.name}: {len(entry['faces'])} faces")
        problems += [f"{video.name}: {problem}" for problem in entry["problems"]]
        without += not entry["faces"]
        rows += [
            {"image": image, "label": video.label, "video": video.name, "frame": frame, "group": video.group}
            for frame, image in entry["faces"]
        ]
    for row in rows:
        row["dataset"] = dataset or out.resolve().name
    _write_rows(out / "rows.csv", rows)
    return Extracted(rows, problems, opened, without)


def find_videos(source: Path) -> list[Video]:
    """The videos of a folder with `real` and `fake`, or of a CSV file, by name. Raises InputError with all problems."""
    if source.is_dir():
        found = [
            Video(path, path.relative_to(source).as_posix(), label, path.relative_to(source).as_posix())
            for label in LABELS
            for path in sorted((source / label).rglob("*"))
            if path.suffix.lower() in _SUFFIXES and path.is_file()
        ]
        if missing := [label for label in LABELS if not any(video.label == label for video in found)]:
            raise InputError([f"{source / label}: there is no video in it." for label in missing])
        return found
    if not source.is_file():
        raise InputError(f"{source}: there is no such folder, and no such CSV file.")
    found, problems = [], []
    for number, row in _table(source, ("video", "label")):
        name, label = row["video"].strip(), row["label"].strip().lower()
        if label not in LABELS:
            problems.append(f"{source.name}: row {number}: label '{row['label']}' is neither real nor fake.")
        found.append(Video(source.parent / name, name, label, (row.get("group") or "").strip() or name))
    problems += [
        f"{source.name}: '{name}' is there twice." for name, n in Counter(v.name for v in found).items() if n > 1
    ]
    if problems:
        raise InputError(problems)
    return found


def read_frames(path: Path, choose: Callable[[int], Sequence[int]]) -> tuple[dict[int, Any], dict[str, list[int]]]:
    """Returns (pictures by frame number, numbers of the chosen frames that cannot be had, by reason).

    `choose`: frame count → numbers wanted, from 0. A frame is known by its time stamp, so one that is damaged does not shift the
    others. Raises InputError for a file without frames that can be told apart.
    """
    import av

    try:
        with av.open(str(path)) as file:
            if not file.streams.video:
                raise InputError("has no video in it.")
            stream = file.streams.video[0]
            packets = [packet for packet in _packets(file, stream) if packet.size]
            # Packets that a file brings along for the decoder alone are never shown.
            stamps = {packet.pts for packet in packets if not packet.is_discard}
            if not stamps or None in stamps:
                raise InputError("has no frames with time stamps; remux it, e.g. ffmpeg -i OLD -c copy NEW.mp4.")
            numbers = {stamp: number for number, stamp in enumerate(sorted(stamps))}
            # The header of a file that was cut off still knows how many frames it had.
            count = len(numbers) + max(0, stream.frames - len(packets))
            wanted = set(choose(count))
        found: dict[int, Any] = {}
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            # Without this, decoders paint over what is damaged, and the picture would pass for a frame of the video.
            stream.codec_context.options = {"err_detect": "explode"}
            stream.thread_type = "SLICE"  # threads by frame lose good frames after a damaged one
            for packet in _packets(file, stream):
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    continue  # what it held is missing from `found`, and named by the caller
                for frame in frames:
                    number = numbers.get(frame.pts)
                    if number in wanted and not frame.is_corrupt:
                        found[number] = frame.to_image()
                if len(found) == len(wanted):
                    break
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"cannot be opened as a video ({_brief(error)}).") from error
    trouble: dict[str, list[int]] = {}
    for number in sorted(wanted - set(found)):
        there = 0 <= number < count
        trouble.setdefault("cannot be decoded" if there else f"the video has {count} frames", []).append(number)
    return found, trouble


def square(box: Box, width: int, height: int, margin: float) -> tuple[int, int, int, int]:
    """Returns left, top, right, bottom of the square round a box, in a picture of this size, in whole pixels.

    Its side is the longer one of the box, and `margin` of it on either side; it is moved into the picture, and no larger than that.

    >>> square((40, 40, 80, 60), 200, 100, 0.25)
    (30, 20, 90, 80)
    """
    side = min(round(max(box[2] - box[0], box[3] - box[1]) * (1 + 2 * margin)), width, height)
    left = min(max(round((box[0] + box[2] - side) / 2), 0), width - side)
    top = min(max(round((box[1] + box[3] - side) / 2), 0), height - side)
    return left, top, left + side, top + side


def spread(numbers: Sequence[int], most: int) -> list[int]:
    """Returns at most so many of the numbers, evenly spread.

    >>> spread(range(10), 2), spread([3, 4], 5)
    ([2, 7], [3, 4])
    """
    count = min(most, len(numbers))
    return [numbers[(2 * place + 1) * len(numbers) // (2 * count)] for place in range(count)]


def _faces_of(video: Video, out: Path, detector: Detector, settings: Settings) -> dict[str, Any]:
    """Returns {"faces": [[frame, picture's path below `out`], …], "problems": sentences}."""
    try:
        images, trouble = read_frames(
            video.path, lambda frames: spread(detector.choices(video, frames), settings.most_frames[video.label])
        )
    except InputError as error:
        return {"faces": [], "problems": list(error.problems)}
    if not images and not trouble:
        return {"faces": [], "problems": ["no box is known for any of its frames."]}
    boxes = detector.find(video.name, images)
    # Two videos may differ in their folders or suffixes alone.
    folder = f"{video.label}/{video.path.stem}-{hashlib.sha256(video.name.encode()).hexdigest()[:8]}"
    faces = []
    for frame, image in sorted(images.items()):
        if (reason := _unusable(boxes.get(frame), image, settings.min_side)) is not None:
            trouble.setdefault(reason, []).append(frame)
            continue
        face = image.crop(square(boxes[frame], image.width, image.height, settings.margin))
        (out / folder).mkdir(parents=True, exist_ok=True)
        face.resize((settings.size, settings.size)).save(out / folder / f"{frame:06d}.png")
        faces.append([frame, f"{folder}/{frame:06d}.png"])
    return {"faces": faces, "problems": [f"{_frames(numbers)}: {reason}." for reason, numbers in trouble.items()]}


def _unusable(box: Box | None, image: Any, min_side: int) -> str | None:
    if box is None:
        return "no face was found"
    inside = (max(box[0], 0), max(box[1], 0), min(box[2], image.width), min(box[3], image.height))
    side = min(inside[2] - inside[0], inside[3] - inside[1])
    if not side > 0:
        return "the box lies outside the picture"
    return f"the face is smaller than {min_side} pixels" if side < min_side else None


def _packets(file: Any, stream: Any) -> Iterator[Any]:
    """All packets up to the end, or to where the file is damaged beyond finding the next one."""
    import av

    packets = file.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        yield packet


def _box(corners: Iterable[float]) -> Box:
    x0, y0, x1, y1 = corners
    if not (math.isfinite(x0 + y0 + x1 + y1) and x0 < x1 and y0 < y1):
        raise ValueError(f"{x0:g}, {y0:g}, {x1:g}, {y1:g} is no box")
    return x0, y0, x1, y1


def _claim(out: Path, detector: Detector, settings: Settings) -> None:
    """Says in the folder what its faces are made with; refuses one that says something else."""
    file = out / "faces.json"
    made = {
        "detector": detector.identity,
        "most_frames": dict(settings.most_frames),
        "margin": settings.margin,
        "min_side": settings.min_side,
        "size": settings.size,
    }
    if file.is_file():
        if (before := json.loads(file.read_text(encoding="utf-8"))) != made:
            differ = ", ".join(name for name in made if before.get(name) != made[name])
            raise InputError(f"{out}: holds faces that were made with another {differ}; name another folder with -o.")
        return
    file.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def _journal(path: Path) -> dict[str, dict[str, Any]]:
    """What is done, by video. A last line that was cut off counts for nothing, and is ended so that the next one stands alone."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8")
    if not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
        path.write_text(text, encoding="utf-8")
    return {entry["video"]: entry for entry in map(json.loads, text.splitlines())}


def _key(video: Video) -> list[Any]:
    """Changes when the video or its label does."""
    if not video.path.is_file():
        return [video.label]
    status = video.path.stat()
    return [video.label, status.st_size, status.st_mtime_ns]


def _table(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows with their numbers, from 1 without the header. Raises InputError for missing columns or fields."""
    from hf_soup.evaluation.data_files import read_table

    table = read_table(path)
    if missing := [name for name in needed if name not in table.columns]:
        raise InputError(f"{path}: has no column {', '.join(missing)}; its columns: {', '.join(table.columns)}.")
    return [(number, {name: str(value) for name, value in row.items()}) for number, row in enumerate(table.records, 1)]


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)


def _frames(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:10])) + (f" and {len(numbers) - 10} more" if len(numbers) > 10 else "")
    return f"frame{'s' if len(numbers) > 1 else ''} {shown}"


def _brief(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    _refuse_without_av()
    if options.boxes is not None:
        detector: Detector = GivenBoxes(options.boxes)
    else:
        detector = HubDetector(options.detector, options.detector_label, options.threshold)
    settings = Settings(
        {"fake": options.fake_frames, "real": options.real_frames}, options.margin, options.min_side, options.size
    )
    found = extract_faces(options.videos, options.out, detector, settings, options.name)
    for problem in found.problems:
        print(problem, file=sys.stderr)
    videos = len({row["video"] for row in found.rows})
    print(f"{len(found.rows)} faces of {videos} videos are in {options.out}; {found.without} videos gave none.")
    return 3 if found.without else 0


def _refuse_without_av() -> None:
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise InputError(f"Videos are read with PyAV, which cannot be imported ({error}): pip install av") from error


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, help="a folder with real and fake, or a CSV file: video,label[,group]")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the folder of faces")
    parser.add_argument("--name", help="of the data set in tables; the folder's own without")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--detector", help="an object detector: Hub ID or folder")
    source.add_argument("--boxes", type=Path, help="a CSV file: video,frame,x0,y0,x1,y1")
    parser.add_argument("--detector-label", default="face", help="what the detector calls a face (%(default)s)")
    parser.add_argument(
        "--threshold", type=float, default=0.5, help="the least certain face, from 0 to 1 (%(default)s)"
    )
    parser.add_argument(
        "--real-frames", type=int, default=MOST_FRAMES["real"], help="at most, of a real video (%(default)s)"
    )
    parser.add_argument(
        "--fake-frames", type=int, default=MOST_FRAMES["fake"], help="at most, of a fake video (%(default)s)"
    )
    parser.add_argument(
        "--margin", type=float, default=0.25, help="on every side, in parts of the longer side (%(default)s)"
    )
    parser.add_argument("--min-side", type=int, default=64, help="of a face in the video, in pixels (%(default)s)")
    parser.add_argument("--size", type=int, default=256, help="of the pictures, in pixels (%(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        print("\n".join(error.problems), file=sys.stderr)
        sys.exit(2)
    except SoupError as error:
        sys.exit(str(error))
