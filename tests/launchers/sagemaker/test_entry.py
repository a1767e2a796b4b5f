"""What the image starts: the right program for each word, told to end when process 1 is."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.errors import ConfigError
from launchers.sagemaker import places
from launchers.sagemaker.entry import anyone_reads, program
from tests.conftest import environment
from tests.serving.served import JPEG, Served

PYTHON = [sys.executable, "-m"]


@pytest.mark.parametrize("word", ["train", "processing"])
def test_a_job_is_the_one_that_definitions_name(word: str) -> None:
    started = program([word], {})

    assert started.command == [*PYTHON, "launchers.sagemaker.job", {"train": "training"}.get(word, word)]
    assert started.reads is None


def test_any_other_word_is_for_our_command_line() -> None:
    assert program(["doctor", "json=true"], {}).command == [*PYTHON, "earthsnap_train", "doctor", "json=true"]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, ["release=/opt/ml/model", "host=0.0.0.0", "port=8080", "serving=sagemaker"]),
        ({"SAGEMAKER_MULTI_MODEL": "true", "SAGEMAKER_BIND_TO_PORT": "9000"}, ["models=/opt/ml/models", "port=9000"]),
        ({places.SERVING_VARIABLE: "serving.top=3 serving.workers=2"}, ["serving.top=3", "serving.workers=2"]),
    ],
)
def test_a_server_is_what_the_service_says(told: Mapping[str, str], words: list[str]) -> None:
    started = program(["serve"], told)

    assert started.command[2:4] == ["earthsnap_train", "serve"]
    assert set(words) <= set(started.command)
    assert started.reads == Path("/opt/ml/models" if "SAGEMAKER_MULTI_MODEL" in told else "/opt/ml/model")


def test_whoever_makes_a_model_changes_serving_alone() -> None:
    with pytest.raises(ConfigError, match=r"'paths.journal=/x' is not for a server") as caught:
        program(["serve"], {places.SERVING_VARIABLE: "serving.top=3 paths.journal=/x"})
    assert caught.value.allowed == "overrides of serving.*"


@pytest.mark.parametrize(
    ("folder", "file", "open_to_all"), [(0o755, 0o644, True), (0o700, 0o644, False), (0o755, 0o600, False)]
)
def test_what_root_alone_may_read_is_known(folder: int, file: int, open_to_all: bool, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "release.json").touch()
    (tmp_path / "model" / "release.json").chmod(file)
    (tmp_path / "model").chmod(folder)

    assert anyone_reads(tmp_path / "model") is open_to_all


@contextmanager
def entered(*words: str, **told: str) -> Iterator["subprocess.Popen[str]"]:
    command = [*PYTHON, "launchers.sagemaker.entry", *words]
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment(), **told},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def test_a_release_is_served_by_the_contract_and_ends_when_it_is_told(tiny: Callable[..., Any], tmp_path: Path) -> None:
    release = tiny("training=head").release()
    shutil.copytree(release, tmp_path / "model")
    answers = json.loads((release / "golden/answers.json").read_text())
    data = (release / "golden" / answers[0]["file"]).read_bytes()

    told = {
        places.ROOT_VARIABLE: str(tmp_path),
        "SAGEMAKER_BIND_TO_PORT": "0",
        places.SERVING_VARIABLE: "serving.top=2",
    }
    with entered("serve", **told) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "answers at http://0.0.0.0:" in line
        server = Served(process=process, port=int(line.rpartition(":")[2]), journal=tmp_path / "journal")
        assert server.get("/ping").status == 200
        said = server.ask("POST", "/invocations", data, JPEG)
        assert (said.status, len(said.json["species"])) == (200, 2)
        assert said.json["species"][0]["species_id"] == answers[0]["top"][0][0]
        assert server.ask("POST", "/invocations", b"x" * (6 * (1 << 20) + 1), JPEG).status == 413
        assert server.end() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]  # nothing is kept of what was answered


def test_an_end_that_is_told_at_once_comes_at_once() -> None:
    began = time.monotonic()
    with entered("serve") as process:
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (143, 128 + signal.SIGTERM, -signal.SIGTERM)
    assert time.monotonic() - began < 20


def test_why_it_cannot_serve_is_told() -> None:
    with entered("serve", **{places.SERVING_VARIABLE: "name=x"}) as process:
        assert process.wait(30) == 2
        assert process.stdout is not None
        assert "error: EARTHSNAP_SERVING: 'name=x' is not for a server" in process.stdout.read()
