"""Merging models that are streamed from a Hub, at 0, 5 and 50 ms of latency per request. Linux.

Run: python tests/benchmarks/stream_speed.py [--models DIR] [--case NAME] [--megabytes 200] [--repeat N] [--json FILE]

Models of that size (of DIR, as for merge_speed.py, or made for the run) are uploaded to a loopback Hub, which lives in this process; the
merges run in processes of their own. Wall time is of planning (listings, configs and headers come over the network too) and
merging, without imports and without the wait for the disk at the end. MB/s are of weights that came over the network.
The Hub shares the cores with the merge, and loopback has no bandwidth to saturate: what the table tells is how much of the
rate at 0 ms is left where every request waits. The rate of one bare connection stands in stream_throughput.py.

Requests: the data requests that the plan counts; all requests for weight files that the Hub saw (places, headers, ranges);
all requests altogether (listings, configs, side files). The bound for those for weights is one for each 32 MB of a file and
three for each file; exit code 1 where more were made. Figures are the smallest of N repetitions and, in parentheses, the median.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench_models import CASES, WARM_UP_MB, WEIGHTS, Case, make_models, weights_of
from measured_table import conditions, load, spread, table, tell
from merge_alone import MergeFigures, merge_alone

from hf_soup.localhub import LocalHub

LATENCIES_S = (0.0, 0.005, 0.05)
RANGE_BYTES = 32_000_000
REQUESTS_OF_A_FILE = 3
OWNER, TINY = "tester", "soup-org"
"""Users of the Hub: the models to measure belong to the one, those of the warm-up to the other."""


@dataclass
class Row:
    """`weight_requests`, `requests`: what the Hub saw of each repetition."""

    latency_s: float
    merges: list[MergeFigures] = field(default_factory=list)
    weight_requests: list[int] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--case", choices=CASES, default="linear x3", metavar="NAME")
    parser.add_argument("--megabytes", type=int, default=200, help="of a model that has to be made")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path, help="all samples")
    arguments = parser.parse_args(words)
    case = CASES[arguments.case]
    rows = [Row(latency_s) for latency_s in LATENCIES_S]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        root = arguments.models.resolve() if arguments.models else work / "models"
        make_models(root, case.count, arguments.megabytes)
        make_models(work / "tiny", case.count, WARM_UP_MB)
        sizes = [file.stat().st_size for file in weights_of(case.sources(root))]
        bound = sum(-(-size // RANGE_BYTES) + REQUESTS_OF_A_FILE for size in sizes)
        load_before = load()
        with LocalHub(work / "hub") as hub:
            # Before huggingface_hub is imported, which reads them then.
            os.environ.update(hub.environment(), HF_HOME=str(work / "home"), HF_HUB_DISABLE_PROGRESS_BARS="1")
            _upload(case.sources(root), OWNER)
            _upload(case.sources(work / "tiny"), TINY)
            for number in range(1, arguments.repeat + 1):
                for row in rows:
                    tell(f"{number} of {arguments.repeat}: {row.latency_s * 1000:.0f} ms")
                    _measure(row, case, work, hub)
    where = conditions(load_before)
    print(f"{where}. {arguments.repeat} repetitions, smallest (median).\n")
    print(_table(arguments.case, rows, sum(sizes), bound))
    if arguments.json:
        document = {
            "conditions": where,
            "case": arguments.case,
            "bytes": sum(sizes),
            "bound": bound,
        }
        arguments.json.write_text(json.dumps({**document, "rows": [asdict(row) for row in rows]}, indent=1))
    most = max(max(row.weight_requests) for row in rows)
    if most > bound:
        raise SystemExit(f"{most} requests for weights were made; the bound is {bound}.")


def _upload(models: Sequence[Path], owner: str) -> None:
    from huggingface_hub import HfApi

    api = HfApi()
    for model in models:
        repo_id = api.create_repo(f"{owner}/{model.name}").repo_id
        api.upload_folder(repo_id=repo_id, folder_path=model)


def _measure(row: Row, case: Case, work: Path, hub: LocalHub) -> None:
    recipe, warm_up = case.write(work / "recipe.yaml", OWNER), case.write(work / "tiny.yaml", TINY)
    home = work / "home-of-the-merge"  # a new one each time: side files that are there already take no request
    hub.latency_s = row.latency_s
    hub.clear_requests()
    row.merges += merge_alone(recipe, work / "out", warm_up, stream=True, environment={"HF_HOME": str(home)})
    seen = [request for request in hub.requests if f"/{OWNER}/" in request.path]
    row.requests.append(len(seen))
    row.weight_requests.append(sum(one.origin == "cdn" or one.path.endswith(WEIGHTS) for one in seen))
    for path in (home, work / "out", work / "out-warm-up"):
        shutil.rmtree(path)


def _table(case: str, rows: Sequence[Row], streamed_bytes: int, bound: int) -> str:
    head = [
        f"{case}, streamed",
        "s",
        "planning s",
        "MB/s",
        "of the rate at 0 ms",
        "CPU s",
        "anonymous MB above imports",
    ]
    head += ["data requests planned", "requests for weights", "bound", "all requests"]
    lines = []
    for row in rows:
        wall = [run.wall_s for run in row.merges]
        line = [f"{row.latency_s * 1000:.0f} ms", spread(wall), spread(run.plan_s for run in row.merges)]
        line += [
            f"{streamed_bytes / 1e6 / min(wall):.0f}",
            f"{min(run.wall_s for run in rows[0].merges) / min(wall):.0%}",
        ]
        line += [spread(run.cpu_s for run in row.merges), spread((run.above_mb for run in row.merges), 0)]
        line += [str(row.merges[0].requests), str(max(row.weight_requests)), str(bound), str(max(row.requests))]
        lines.append(line)
    return table(head, lines)


if __name__ == "__main__":
    main()
