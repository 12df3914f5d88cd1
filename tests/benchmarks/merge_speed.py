"""How far merging is from the physical limit, and from mergekit. Linux.

Run: python tests/benchmarks/merge_speed.py --models DIR [--mergekit ENVIRONMENT] [--cases NAME ...] [--repeat N] [--json FILE]

DIR holds base, m1, m2, … with model.safetensors and config.json; what is missing is made there, 534 MB each
(--megabytes). Results are written into a folder in DIR that is removed again. ENVIRONMENT is the folder of a Python
environment with mergekit, which is run as a program (`mergekit-yaml`) and never imported. Both programs read the same recipe
and have one torch thread for each worker; hf-soup takes as many workers as it does by default, mergekit has one.

What is measured, N times, the programs in turn, so that a busy minute meets all of them. Every figure is the smallest of N
and, in parentheses, the median; ratios are of the smallest.

limit       `cat` of all inputs to /dev/null and `cp` of one of them, from a warm cache: no merge can do less.
merge alone planning and merging in a process that has imported everything. hf-soup brings the result to the disk before it
            gives it its name, `cp` and mergekit do not: that wait (`fsync`) is not in the wall time and stands beside it,
            with the same wait for the copy of the limit. mergekit is not measured from inside: `mergekit-yaml --help`, which
            is mostly its imports, is subtracted from the whole command, so what it imports later counts as merging.
whole       `hf-soup merge RECIPE -o OUT` and `mergekit-yaml RECIPE OUT`, with interpreter, imports, hf-soup's probe and fsync,
            model card and all else.
anonymous   memory that the system cannot take back, sampled every 10 ms. resident: with the pages of mapped files.

CPU seconds (user and system) change little on a busy machine, wall time a lot: compare the load averages.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench_models import CASES, WARM_UP_MB, Case, make_models, weights_of
from measured_process import ONE_THREAD, Limit, Measured, measure_limit, run_measured
from measured_table import conditions, load, spread, table, tell, versions_in
from merge_alone import MergeFigures, merge_alone

OFFLINE = {**ONE_THREAD, "HF_HUB_OFFLINE": "1"}


@dataclass
class Samples:
    """What was measured of one case, one value for each repetition."""

    limit: list[Limit] = field(default_factory=list)
    alone: list[MergeFigures] = field(default_factory=list)
    ours: list[Measured] = field(default_factory=list)
    theirs: list[Measured] = field(default_factory=list)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--mergekit", type=Path)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="NAME")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=534, help="of a model that has to be made")
    parser.add_argument("--json", type=Path, help="all samples")
    arguments = parser.parse_args(words)
    cases = {name: CASES[name] for name in arguments.cases}
    models = arguments.models.resolve()
    make_models(models, max(case.count for case in cases.values()), arguments.megabytes)
    theirs = versions_in(arguments.mergekit, "mergekit", "torch", "transformers") if arguments.mergekit else {}
    load_before = load()
    samples = {name: Samples() for name in cases}
    imports: list[Measured] = []
    with tempfile.TemporaryDirectory(dir=models, prefix="benchmark-") as folder:
        work = Path(folder)
        make_models(work / "tiny", max(case.count for case in cases.values()), WARM_UP_MB)
        for number in range(1, arguments.repeat + 1):
            if arguments.mergekit:
                imports.append(run_measured([arguments.mergekit / "bin" / "mergekit-yaml", "--help"], OFFLINE))
            for name, case in cases.items():
                tell(f"{number} of {arguments.repeat}: {name}")
                _measure(case, models, work, arguments.mergekit, samples[name])
    where = conditions(load_before, **{name if name == "mergekit" else f"its {name}": v for name, v in theirs.items()})
    print(f"{where}. {arguments.repeat} repetitions, smallest (median).\n")
    print(_alone_table(samples, imports))
    print()
    print(_whole_table(samples))
    if arguments.json:
        document = {
            "conditions": where,
            "mergekit --help": [_plain(run) for run in imports],
            "cases": {
                name: {what: [_plain(sample) for sample in values] for what, values in vars(each).items()}
                for name, each in samples.items()
            },
        }
        arguments.json.write_text(json.dumps(document, indent=1))


def _measure(case: Case, models: Path, work: Path, mergekit: Path | None, samples: Samples) -> None:
    """Measures everything once and removes what was written."""
    recipe = case.write(work / "recipe.yaml", models)
    warm_up = case.write(work / "tiny.yaml", work / "tiny")
    results = {name: work / name for name in ("alone", "ours", "theirs")}
    samples.limit.append(measure_limit(weights_of(case.sources(models)), work / "copy"))
    samples.alone += merge_alone(recipe, results["alone"], warm_up, environment=OFFLINE)
    program = Path(sys.executable).with_name("hf-soup")
    samples.ours.append(run_measured([program, "merge", recipe, "-o", results["ours"], "--device", "cpu"], OFFLINE))
    expected = samples.alone[-1].bytes_to_write
    if mergekit is not None:
        samples.theirs.append(run_measured([mergekit / "bin" / "mergekit-yaml", recipe, results["theirs"]], OFFLINE))
    for name, result in results.items():
        if not result.exists():
            continue
        written = sum(file.stat().st_size for file in result.glob("*.safetensors"))
        if abs(written - expected) > 0.001 * expected:
            raise SystemExit(f"{case.method}, {name}: {written:,} bytes of weights were written, not {expected:,}.")
        shutil.rmtree(result)
    shutil.rmtree(results["alone"].with_name("alone-warm-up"))


def _alone_table(samples: dict[str, Samples], imports: Sequence[Measured]) -> str:
    head = ["merge alone", "limit s", "limit CPU s", "hf-soup s", "of the limit", "hf-soup CPU s", "hf-soup fsync s"]
    head += ["fsync of the copy s", "hf-soup anonymous MB above imports"]
    if imports:
        head += ["mergekit s", "mergekit CPU s", "mergekit's CPU / hf-soup's", "mergekit anonymous MB above imports"]
    import_wall = min((run.wall_s for run in imports), default=0.0)
    import_cpu = min((run.cpu_s for run in imports), default=0.0)
    import_mb = min((run.peak.anonymous for run in imports), default=0.0)
    rows = []
    for name, each in samples.items():
        wall, limit = [run.wall_s for run in each.alone], [run.wall_s for run in each.limit]
        cpu = [run.cpu_s for run in each.alone]
        row = [name, spread(limit), spread(run.cpu_s for run in each.limit), spread(wall)]
        row += [f"{min(wall) / min(limit):.2f}", spread(cpu), spread(run.sync_s for run in each.alone)]
        row += [spread(run.sync_s for run in each.limit), spread((run.above_mb for run in each.alone), 0)]
        if imports:
            their_cpu = [run.cpu_s - import_cpu for run in each.theirs]
            row += [spread(run.wall_s - import_wall for run in each.theirs), spread(their_cpu)]
            row += [f"{min(their_cpu) / min(cpu):.1f}"]
            row += [spread((run.peak.anonymous - import_mb for run in each.theirs), 0)]
        rows.append(row)
    return table(head, rows)


def _whole_table(samples: dict[str, Samples]) -> str:
    figures = ["s", "CPU s", "anonymous MB", "resident MB"]
    compared = any(each.theirs for each in samples.values())
    head = ["whole command", *(f"hf-soup {figure}" for figure in figures)]
    if compared:
        head += [
            *(f"mergekit {figure}" for figure in figures),
            "mergekit's s / hf-soup's",
            "mergekit's CPU / hf-soup's",
        ]
    rows = []
    for name, each in samples.items():
        row = [name, *_of_runs(each.ours)]
        if compared:
            row += _of_runs(each.theirs)
            row.append(f"{min(run.wall_s for run in each.theirs) / min(run.wall_s for run in each.ours):.1f}")
            row.append(f"{min(run.cpu_s for run in each.theirs) / min(run.cpu_s for run in each.ours):.1f}")
        rows.append(row)
    return table(head, rows)


def _of_runs(runs: Sequence[Measured]) -> list[str]:
    memory = [spread((run.peak.anonymous for run in runs), 0), spread((run.peak.resident for run in runs), 0)]
    return [spread(run.wall_s for run in runs), spread(run.cpu_s for run in runs), *memory]


def _plain(sample: Limit | MergeFigures | Measured) -> dict[str, Any]:
    """A sample for the JSON file, without what the program printed."""
    return {name: value for name, value in asdict(sample).items() if name != "output"}


if __name__ == "__main__":
    main()
