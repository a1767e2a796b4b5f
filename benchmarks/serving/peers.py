"""Requests a second at equal p99: our server beside LitServe, with the same models, the same preparation and equal bodies.

    python -m venv peers && peers/bin/pip install litserve && peers/bin/pip install -e .
    python benchmarks/serving/peers.py registry/plants/1 --int8 registry/plants-int8/1 --peers-python peers/bin/python

``--int8``: the same declaration with ``backbone.quantization=int8``. The server is pinned to core 0, the load generator to
core 1. Every server first has to give the golden answers.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from load import Outcome, highest_rate

REPOSITORY = Path(__file__).resolve().parents[2]
PORT = 18_431


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release", type=Path)
    parser.add_argument("--int8", type=Path, required=True)
    parser.add_argument("--peers-python", type=Path, required=True)
    parser.add_argument("--p99-ms", type=float, default=100)
    parser.add_argument("--only", nargs="*")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {1})
    found: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory() as folder:
        both = arguments.release.resolve(), arguments.int8.resolve()
        for name, (command, path) in servers(*both, arguments.peers_python, Path(folder)).items():
            if arguments.only and name not in arguments.only:
                continue
            release = both["int8" in name]
            golden = json.loads((release / "golden" / "answers.json").read_bytes())
            bodies = [(release / "golden" / one["file"]).read_bytes() for one in golden]
            print(name, flush=True)
            environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}", "OMP_NUM_THREADS": "1"}
            begin = time.perf_counter()
            server = subprocess.Popen(
                ["taskset", "-c", "0", *command], env=environment, cwd=folder, start_new_session=True
            )
            try:
                url = f"http://127.0.0.1:{PORT}{path}"
                first = until_answered(url, bodies[0], server)
                print(f"    first answer after {first - begin:.2f} s", flush=True)
                for one, body in zip(golden, bodies, strict=True):
                    said = post(url, body)["species"][0]
                    assert said["species_id"] == one["top"][0][0], (name, one, said)
                    assert abs(said["probability"] - one["top"][0][1]) < 0.25, (name, one, said)
                found[name] = asyncio.run(highest_rate(url, bodies, p99_ms=arguments.p99_ms, start=30))
            finally:
                end(server)
    print(f"\n| server | requests/s at p99 <= {arguments.p99_ms:.0f} ms | p50 ms | p99 ms |\n|---|---|---|---|")
    for name, outcome in found.items():
        print(f"| {name} | {outcome.rate:.0f} | {outcome.quantile_ms(0.5):.1f} | {outcome.quantile_ms(0.99):.1f} |")


def servers(release: Path, int8: Path, peers_python: Path, scratch: Path) -> dict[str, tuple[list[str], str]]:
    """name -> (command, path of the answers); ours first."""
    backbone = scratch / "backbone.json"
    composed = subprocess.run(
        [sys.executable, "-m", "earthsnap_train", "--cfg", "job", "--resolve", "+experiment=plants"],
        capture_output=True, text=True, check=True, cwd=scratch,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"},
    ).stdout  # fmt: skip
    import yaml

    backbone.write_text(json.dumps(yaml.safe_load(composed)["backbone"]))
    peer = str(Path(__file__).with_name("litserve_peer.py"))

    def ours(served: Path, *settings: str) -> tuple[list[str], str]:
        serve = [sys.executable, "-m", "earthsnap_train", "serve", f"release={served}", f"port={PORT}"]
        return [*serve, *settings], "/invocations"

    def theirs(served: Path, engine: str, *more: str) -> tuple[list[str], str]:
        return [str(peers_python), peer, str(served), engine, str(PORT), *more], "/predict"

    return {
        "earthsnap, OpenVINO in int8": ours(int8, "serving.engine=openvino"),
        "earthsnap, ONNX Runtime in int8": ours(int8, "serving.engine=onnxruntime"),
        "earthsnap, OpenVINO in bf16": ours(release, "serving.engine=openvino", "serving.precision=bf16"),
        "earthsnap, ONNX Runtime in float32": ours(release, "serving.engine=onnxruntime"),
        "LitServe, ONNX Runtime in int8": theirs(int8, "onnxruntime"),
        "LitServe, ONNX Runtime in float32": theirs(release, "onnxruntime"),
        "LitServe, eager torch": theirs(release, "torch", str(backbone)),
    }


def end(server: subprocess.Popen) -> None:
    """With all its processes: LitServe has several, which outlive the first."""
    server.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def post(url: str, body: bytes) -> dict:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "image/jpeg"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())


def until_answered(url: str, body: bytes, server: subprocess.Popen) -> float:
    for _ in range(1200):
        assert server.poll() is None, "the server ended"
        try:
            post(url, body)
            return time.perf_counter()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise TimeoutError(url)


if __name__ == "__main__":
    main()
