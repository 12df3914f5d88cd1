"""Start, stop, restart, the folder, and the command line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from hf_soup.errors import SoupError
from hf_soup.localhub import LocalHub

pytestmark = pytest.mark.hub


def client(hub: LocalHub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=hub.token)


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    with LocalHub(tmp_path) as hub:
        api, address, token = client(hub), hub.endpoint, hub.token
        guest = hub.add_user("guest")
        api.create_repo("kept", private=True)
        files = [CommitOperationAdd("a.txt", b"text"), CommitOperationAdd("w.bin", b"\0weights")]
        sha = api.create_commit("tester/kept", files, commit_message="m").oid
        api.create_tag("tester/kept", tag="v1")
        api.create_discussion("tester/kept", "A question", description="What?")
        api.update_repo_settings("tester/kept", gated="auto")
        before = api.model_info("tester/kept", files_metadata=True)
        hub.restart()
        assert (hub.endpoint, hub.token) == (address, token)
        assert client(hub).model_info("tester/kept", revision="v1").sha == sha
    with LocalHub(tmp_path) as hub:  # another process would see the same
        api = client(hub)
        assert api.model_info("tester/kept", files_metadata=True) == before
        assert api.get_discussion_details("tester/kept", 1).title == "A question"
        assert api.whoami(token=guest.token)["name"] == "guest"
        cache = tmp_path / "cache"
        assert Path(api.hf_hub_download("tester/kept", "w.bin", cache_dir=cache)).read_bytes() == b"\0weights"
        assert Path(api.hf_hub_download("tester/kept", "a.txt", cache_dir=cache)).read_bytes() == b"text"


def test_leftovers_of_a_killed_process_are_ignored_or_removed(tmp_path: Path) -> None:
    with LocalHub(tmp_path) as hub:
        api = client(hub)
        api.create_repo("whole")
        (tmp_path / "models" / "tester" / "half.git").mkdir()
        (tmp_path / "models" / "tester" / "whole.git" / "refs" / "heads" / ".tmp-123").write_text("12")
        assert [model.id for model in api.list_models()] == ["tester/whole"]
        assert [ref.name for ref in api.list_repo_refs("tester/whole").branches] == ["main"]
        (tmp_path / "incoming" / "half-an-upload").write_text("12")
        hub.restart()
        assert not list(tmp_path.rglob("half-an-upload"))


def test_a_temporary_hub_leaves_nothing_behind() -> None:
    hub = LocalHub().start()
    client(hub).create_repo("x")
    assert (hub.root / "models" / "tester" / "x.git").is_dir()
    hub.stop()
    hub.stop()
    assert not hub.root.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no 127.0.0.2 without configuration")
def test_one_address_of_loopback_is_served() -> None:
    with LocalHub() as hub:
        port = int(hub.endpoint.rsplit(":", 1)[1])
        probe = socket.socket()
        probe.bind(("127.0.0.2", port))  # free: the hub has not bound all addresses
        probe.close()
        assert hub.endpoint.startswith("http://127.0.0.1:")


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with LocalHub() as hub:
        port = int(hub.endpoint.rsplit(":", 1)[1])
        with pytest.raises(SoupError, match=f"Port {port} of 127.0.0.1 cannot be used"):
            LocalHub(tmp_path, port).start()


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SoupError, match="cannot hold a hub"):
        LocalHub(tmp_path / "file" / "hub")
    (tmp_path / "accounts.json").write_text('[{"name": "x"}]')
    with pytest.raises(SoupError, match=r"accounts\.json is not a list of users"):
        LocalHub(tmp_path)


def test_a_hub_has_no_address_before_it_is_started(tmp_path: Path) -> None:
    with pytest.raises(SoupError, match="start"):
        _ = LocalHub(tmp_path).endpoint


def test_the_environment_names_what_a_client_needs(hub: LocalHub) -> None:
    assert hub.environment() == {
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": hub.token,
        "HF_HUB_DISABLE_XET": "1",
    }
    assert hub.environment(token=hub.reader_token)["HF_TOKEN"] == hub.reader_token != hub.token


def test_the_hub_can_be_imported_before_any_client() -> None:
    code = (
        "import sys; from hf_soup.localhub import LocalHub;"
        "print([m for m in sys.modules if m.split('.')[0] in ('huggingface_hub', 'httpx', 'torch')])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_a_missing_server_package_is_named_with_the_command_that_installs_it() -> None:
    code = (
        "import sys; sys.modules['starlette'] = None\n"
        "from hf_soup.errors import SoupError\n"
        "try:\n    from hf_soup.localhub import LocalHub\n"
        "except SoupError as error:\n    print(error)\n"
    )
    told = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert 'pip install "hf-soup[hub]"' in told


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_serve_prints_exports_and_ends_cleanly_on_ctrl_c(tmp_path: Path) -> None:
    code = "from hf_soup.cli import main; main()"
    command = [sys.executable, "-c", code, "hub", "serve", "--root", str(tmp_path), "--latency", "1ms"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(3)]
        values = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        assert list(values) == ["HF_ENDPOINT", "HF_TOKEN", "HF_HUB_DISABLE_XET"]
        assert HfApi(endpoint=values["HF_ENDPOINT"], token=values["HF_TOKEN"]).whoami()["name"] == "tester"
        process.send_signal(signal.SIGINT)
        rest, messages = process.communicate(timeout=20)
    assert (process.returncode, rest) == (0, "")
    assert "Traceback" not in messages
    assert os.listdir(tmp_path)  # noqa: PTH208 - the repositories are kept


@pytest.mark.parametrize("latency", ["50", "fast", "-1ms"])
def test_a_latency_without_a_unit_is_refused(latency: str, capsys: pytest.CaptureFixture[str]) -> None:
    from hf_soup.cli import main

    with pytest.raises(SystemExit) as end:
        main(["hub", "serve", f"--latency={latency}"])
    assert end.value.code == 2
    assert f"--latency {latency}: write a time with its unit, such as 50ms" in capsys.readouterr().err
