"""How fast weights stream from a loopback Hub in a process of its own, at 0 and 50 ms of latency per request.

    python tests/benchmarks/stream_throughput.py [MEGABYTES]

Prints one line per latency: MB/s of one stream read in order, of the same without a request ahead, and of a bare
download of the same bytes by one request of the standard library. Best of three each.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from hf_soup.checkpoints.folder import HubFolder
from hf_soup.checkpoints.reference import PinnedRef
from hf_soup.checkpoints.span_stream import SpanStream
from hf_soup.checkpoints.spans import Span

BLOCK_BYTES = 4 * 2**20


def main(megabytes: int) -> None:
    rates: list[float] = []
    for latency in ("0ms", "50ms"):
        serve = [str(Path(sys.executable).parent / "hf-soup"), "hub", "serve", "--latency", latency]
        hub = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
        try:
            environment = dict(hub.stdout.readline().strip().removeprefix("export ").split("=", 1) for _ in range(3))
            client = [sys.executable, __file__, "--client", str(megabytes)]
            with tempfile.TemporaryDirectory() as home:
                variables = {**os.environ, **environment, "HF_HOME": home, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
                found = subprocess.run(client, env=variables, check=True, stdout=subprocess.PIPE, text=True)
        finally:
            hub.terminate()
            hub.wait()
        stream, alone, bare = (float(rate) for rate in found.stdout.split())
        rates.append(stream)
        print(f"{latency}: stream {stream:.0f} MB/s, without a request ahead {alone:.0f}, one bare request {bare:.0f}")
    print(f"at 50 ms: {rates[1] / rates[0]:.0%} of the rate at 0 ms")


def client(megabytes: int) -> None:
    from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url

    api, size = HfApi(), megabytes * 10**6
    api.create_repo("tester/big")
    sha = api.upload_file(path_or_fileobj=os.urandom(size), path_in_repo="w.bin", repo_id="tester/big").oid
    folder = HubFolder(PinnedRef("tester/big", repo_id="tester/big", revision=sha))
    address = get_hf_file_metadata(hf_hub_url("tester/big", "w.bin", revision=sha)).location
    print(
        max(_streamed(SpanStream({"w.bin": folder.remote_file("w.bin")}, [Span("w.bin", 0, size)])) for _ in range(3))
    )
    alone = [SpanStream({"w.bin": folder.remote_file("w.bin")}, [Span("w.bin", 0, size)], ahead=0) for _ in range(3)]
    print(max(_streamed(stream) for stream in alone))
    print(max(_bare(address, size) for _ in range(3)))


def _streamed(stream: SpanStream) -> float:
    size, block = stream.bytes_left, bytearray(BLOCK_BYTES)
    start = time.monotonic()
    with stream:
        while stream.bytes_left:
            stream.read_into(memoryview(block)[: min(BLOCK_BYTES, stream.bytes_left)])
    return size / 1e6 / (time.monotonic() - start)


def _bare(address: str, size: int) -> float:
    """MB/s of one request with the standard library, into one buffer."""
    url = urlsplit(address)
    connection = http.client.HTTPConnection(str(url.hostname), url.port)
    block = bytearray(BLOCK_BYTES)
    start = time.monotonic()
    connection.request("GET", f"{url.path}?{url.query}")
    answer = connection.getresponse()
    while answer.readinto(block):
        pass
    connection.close()
    return size / 1e6 / (time.monotonic() - start)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        client(int(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 200)
