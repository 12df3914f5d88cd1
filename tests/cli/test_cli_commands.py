"""The commands as programs: what they print where, and their exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fine_tunes import data, published
from tiny_checkpoints import write_relatives
from tiny_models import read_json

from hf_soup.cli import main

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from merge_memory import make_model


def run(capsys, *arguments) -> tuple[int, str, str]:
    """Runs a command in this process; returns exit code, standard output, standard error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in arguments])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def program(*arguments, **environment) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from hf_soup.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)


@pytest.fixture
def folders(tmp_path) -> list[Path]:
    return write_relatives(tmp_path / "in", 3)


def test_merge_writes_a_folder_and_says_where(capsys, folders, tmp_path):
    code, out, _ = run(capsys, "merge", *folders, "-o", tmp_path / "soup", "--weights", "3,1,1")
    assert code == 0
    assert str(tmp_path / "soup") in out
    recipe = read_json(tmp_path / "soup" / "soup.json")
    weights = dict(zip([i["name"] for i in recipe["ingredients"]], recipe["parameters"]["weight"], strict=True))
    assert weights == {"run-0": 3, "run-1": 1, "run-2": 1}
    assert (tmp_path / "soup" / "README.md").exists()


def test_json_is_one_document_and_nothing_else(capsys, folders, tmp_path):
    for arguments in (
        ("merge", *folders, "-o", tmp_path / "soup", "--json"),
        ("merge", *folders, "-o", tmp_path / "other", "--dry-run", "--json"),
        ("inspect", *folders, "--json"),
        ("methods", "--json"),
        ("methods", "linear", "--json"),
        ("verify", tmp_path / "soup", "--json", *[f"--ingredient=run-{i}={f}" for i, f in enumerate(folders)]),
    ):
        code, out, _ = run(capsys, *arguments)
        assert code == 0, arguments
        assert json.loads(out), arguments


def test_a_dry_run_writes_nothing_and_lists_problems_with_exit_code_2(capsys, folders, tmp_path):
    code, out, _ = run(capsys, "merge", *folders, "-o", tmp_path / "soup", "--dry-run")
    assert code == 0
    assert "write:" in out
    (folders[1] / "vocab.txt").write_text("other")
    code, out, _ = run(capsys, "merge", *folders, "-o", tmp_path / "soup", "--dry-run", "--set", "weight[9]=1")
    assert code == 2
    assert "vocabularies differ" in out
    assert "weight[9]: there are models 0 to 2" in out
    assert not (tmp_path / "soup").exists()


def test_wrong_input_is_all_problems_one_a_line_without_a_traceback(capsys, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(folders[0])
    code, out, err = run(capsys, "merge", folders[0], tmp_path / "no-such", "..", "-o", tmp_path / "soup")
    assert code == 2
    assert out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 2
    assert "no-such' does not exist" in lines[0]
    assert "Traceback" not in err
    with pytest.raises(Exception, match="does not exist"):
        main(["merge", str(tmp_path / "no-such"), "-o", "x", "--debug"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("merge", "a/b"),
        ("merge", "-o", "x"),
        ("greedy", "a/b", "c/d", "-o", "x"),
        ("greedy", "a/b", "-o", "x", "--data", "none.csv", "--task", "text-classification"),
        ("evaluate", "a/b", "--data", "x.csv", "--score", "cmd {model}"),
        ("merge", "a/b", "-o", "x", "--weights", "one,two"),
        ("merge", "a/b", "-o", "x", "--set", "density"),
        ("greedy", "a/b", "-o", "x", "--data", "x.csv", "--column", "text"),
        ("no-such-command",),
        ("methods", "lineer"),
    ],
)
def test_misuse_ends_with_exit_code_2(capsys, arguments):
    assert run(capsys, *arguments)[0] == 2


@pytest.mark.hub
def test_greedy_with_push_and_verify_is_the_whole_job(capsys, hub, repo, tmp_path):
    ids = published()
    code, out, err = run(
        capsys, "greedy", *ids, "--data", data()["held_out"], "--task", "text-classification", "--metric", "accuracy",
        "--test", data()["test"], "--shift", f"elsewhere={data()['shift']}", "-o", tmp_path / "soup", "--push", repo,
    )  # fmt: skip
    assert code == 0, err
    assert "greedy soup" in out
    assert repo in out
    code, out, _ = run(capsys, "verify", repo)
    assert code == 0
    assert "identical" in out


@pytest.mark.hub
def test_verify_finds_altered_weights_with_exit_code_4(capsys, folders, tmp_path):
    assert run(capsys, "merge", *folders, "-o", tmp_path / "soup")[0] == 0
    file = tmp_path / "soup" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(content)
    places = [word for i, folder in enumerate(folders) for word in ("--ingredient", f"run-{i}={folder}")]
    code, out, _ = run(capsys, "verify", tmp_path / "soup", *places)
    assert code == 4
    assert "different" in out


@pytest.mark.hub
def test_evaluate_prints_a_table_with_intervals(capsys, hub):
    ids = published()
    code, out, _ = run(
        capsys, "evaluate", *ids[:2], "--data", data()["held_out"], "--task", "text-classification",
        "--metric", "accuracy", "--metric", "nll", "--json",
    )  # fmt: skip
    assert code == 0
    models = json.loads(out)["models"]
    assert len(models) == 2
    for row in models.values():
        assert row["accuracy"]["low"] < row["accuracy"]["value"] < row["accuracy"]["high"]
        assert row["nll"]["value"] > 0


@pytest.mark.hub
def test_any_command_can_judge(capsys, hub, tmp_path):
    ids = published()
    judge = tmp_path / "judge.py"
    judge.write_text(
        "import sys; from safetensors.numpy import load_file\n"
        "print(float(load_file(sys.argv[1] + '/model.safetensors')['classifier.bias'][0]))\n"
    )
    code, _, err = run(
        capsys, "greedy", *ids, "--score", f"{sys.executable} {judge} {{model}}", "--minimise", "-o", tmp_path / "soup"
    )
    assert code == 0, err
    scores = read_json(tmp_path / "soup" / "soup.json")["selection"]["scores"]
    assert len(set(scores)) == 4


@pytest.mark.hub
def test_inspect_shows_licence_labels_and_geometry(capsys, hub):
    code, out, _ = run(capsys, "inspect", *published()[:2], "--probe")
    assert code == 0
    for word in (
        "BertForSequenceClassification",
        "licence: mit",
        "labels: negative, positive",
        "can be merged",
        "cosines 0",
    ):
        assert word in out


def test_methods_prints_the_schema(capsys):
    code, out, _ = run(capsys, "methods", "linear")
    assert code == 0
    assert "normalize = True" in out
    assert "2203.05482" in out


@pytest.mark.skipif(os.name == "nt", reason="a process cannot be sent Ctrl-C alone there")
def test_an_interrupt_is_exit_code_130_and_the_same_command_goes_on(tmp_path):
    models = [tmp_path / "in" / f"model-{seed}" for seed in range(2)]
    (tmp_path / "in").mkdir()
    for seed, model in enumerate(models):
        make_model(model, 300, seed)
    command = [sys.executable, "-c", "from hf_soup.cli import main; main()", "merge", *map(str, models)]
    command += ["-o", str(tmp_path / "soup"), "--memory", "16MiB", "--force"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "soup.partial" / ".journal-0"
    while process.poll() is None and not (journal.exists() and journal.stat().st_size):
        pass
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "Interrupted" in err
    assert "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "soup.partial"]
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "Going on with soup.partial" in again.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "soup"]


def test_help_and_import_are_fast_and_load_nothing_heavy():
    heavy = {"torch", "transformers", "peft", "litellm", "sklearn", "matplotlib", "accelerate"}
    probe = "import sys, {module}; {call}; print(sorted(set(sys.modules) & {heavy}))"
    imported = subprocess.run(
        [sys.executable, "-c", probe.format(module="hf_soup", call="hf_soup.__version__", heavy=heavy)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert imported.stdout.strip() == "[]"
    rooms = "hf_soup.ensembles, hf_soup.evaluation, hf_soup.forecasting, hf_soup.reporting, hf_soup.scoring"
    imported = subprocess.run(
        [sys.executable, "-c", probe.format(module=rooms, call="hf_soup.Ensemble", heavy=heavy)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert imported.stdout.strip() == "[]"
    shown = program("--help", PYTHONPROFILEIMPORTTIME="1")
    assert shown.returncode == 0
    assert "greedy" in shown.stdout
    names = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in shown.stderr.splitlines() if "|" in line}
    assert "typer" in names
    assert not names & heavy


def test_version_is_printed(capsys):
    from hf_soup import __version__

    code, out, _ = run(capsys, "--version")
    assert (code, out.strip()) == (0, f"hf-soup {__version__}")


def test_registering_makes_it_a_command_of_the_hubs_own_cli(tmp_path):
    environment = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
    scripts = tmp_path / "bin"
    scripts.mkdir()
    script = scripts / "hf-soup"
    script.write_text(f"#!{sys.executable}\nfrom hf_soup.cli import main\nmain()\n")
    script.chmod(0o755)
    environment["PATH"] = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    done = program("extension", "register", **environment)
    assert done.returncode == 0, done.stderr
    manifest = read_json(tmp_path / ".local/share/hf/extensions/hf-soup/manifest.json")
    assert manifest["short_name"] == "soup"
    hf = [sys.executable, "-c", "from huggingface_hub.cli.hf import main; main()"]
    shown = subprocess.run(
        [*hf, "soup", "methods"], capture_output=True, text=True, env=os.environ | environment, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert "linear" in shown.stdout
    code = subprocess.run([*hf, "soup", "methods", "no-such"], env=os.environ | environment, check=False).returncode
    assert code == 2
