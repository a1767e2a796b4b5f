"""A server of several releases keeps SageMaker's multi-model contract: a real process, and real HTTP."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, environment
from tests.serving.served import JPEG, Reply, Served

SERVE = [sys.executable, "-m", "earthsnap_train", "serve", "port=0", "serving=sagemaker", "serving.workers=1"]


@pytest.fixture(scope="module")
def release(tiny: Callable[..., Any]) -> Path:
    folder: Path = tiny("training=head").release()
    return folder


@pytest.fixture(scope="module")
def root(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the service lays models out: the same release twice, one of which a bit was lost, and a folder that is none."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("a", "b", "broken"):
        shutil.copytree(release, folder / name / "model")
    head = next((folder / "broken" / "model" / "nodes").glob("*.onnx"))
    head.write_bytes(head.read_bytes()[:-1] + b"\x00")
    (folder / "empty" / "model").mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def server(root: Path, release: Path) -> Iterator[Served]:
    """It has room for two and a half of these releases."""
    one_mb = sum(file.stat().st_size for file in release.rglob("*.onnx")) / (1 << 20)
    process = subprocess.Popen(
        [*SERVE, f"models={root}", f"serving.max_models_mb={2.5 * one_mb}"],
        env={**os.environ, **environment()}, stdout=subprocess.PIPE, text=True, cwd=root,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert "are loaded at http://" in said, said
        served = Served(process=process, port=int(said.rpartition(":")[2]), journal=root / "journal")
        yield served
        assert served.end() == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def load(server: Served, name: str, url: Path | str) -> Reply:
    return server.ask("POST", "/models", json.dumps({"model_name": name, "url": str(url)}).encode())


@pytest.fixture
def loaded(server: Served, root: Path) -> Iterator[str]:
    """The name of a model that is there."""
    assert load(server, "first", root / "a" / "model").status == 200
    yield "first"
    server.ask("DELETE", "/models/first")


def photograph(release: Path) -> tuple[bytes, str]:
    """With the species that it was named when the release was made."""
    answers = json.loads((release / "golden/answers.json").read_text())
    return (release / "golden" / answers[0]["file"]).read_bytes(), answers[0]["top"][0][0]


def test_what_is_loaded_is_listed_and_can_be_asked(server: Served, root: Path, release: Path, loaded: str) -> None:
    data, species = photograph(release)

    shown = {"modelName": loaded, "modelUrl": str(root / "a" / "model")}
    assert server.get("/models").json == {"models": [shown]}
    assert server.get(f"/models/{loaded}").json == shown
    said = server.ask("POST", f"/models/{loaded}/invoke", data, JPEG | {"X-Amzn-SageMaker-Target-Model": "a.tar.gz"})
    assert (said.status, said.json["species"][0]["species_id"]) == (200, species)


def test_a_list_comes_in_pages(server: Served, root: Path, loaded: str) -> None:
    assert load(server, "earlier", root / "b" / "model").status == 200

    page = server.get("/models?limit=1").json
    rest = server.get(f"/models?limit=1&next_page_token={page['nextPageToken']}").json

    assert [one["modelName"] for one in page["models"]] == ["earlier"]
    assert [one["modelName"] for one in rest["models"]] == [loaded]
    assert "nextPageToken" not in rest
    assert server.ask("DELETE", "/models/earlier").status == 200


def test_a_name_that_is_taken_is_refused(server: Served, root: Path, loaded: str) -> None:
    said = load(server, loaded, root / "b" / "model")

    assert (said.status, said.code) == (409, "loaded")
    assert server.get(f"/models/{loaded}").json["modelUrl"].endswith("/a/model")


def test_where_there_is_no_room_nothing_is_put_out_and_once_there_is_it_is_loaded(
    server: Served, root: Path, loaded: str
) -> None:
    assert load(server, "more", root / "b" / "model").status == 200
    refused = load(server, "most", root / "b" / "model")
    assert (refused.status, refused.code) == (507, "no_memory")
    assert [one["modelName"] for one in server.get("/models").json["models"]] == [loaded, "more"]

    assert server.ask("DELETE", f"/models/{loaded}").status == 200
    assert load(server, "most", root / "b" / "model").status == 200
    for name in ("more", "most"):
        assert server.ask("DELETE", f"/models/{name}").status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/models/none"), ("DELETE", "/models/none"), ("POST", "/models/none/invoke")]
)
def test_what_is_not_loaded_is_not_found(server: Served, method: str, path: str) -> None:
    said = server.ask(method, path, b"x" if method == "POST" else None)

    assert (said.status, said.code) == (404, "not_loaded")


@pytest.mark.parametrize("url", ["/etc", "../outside", "a/../../etc", "https://example.org/model"])
def test_nothing_is_loaded_from_elsewhere(server: Served, root: Path, url: str) -> None:
    where = url if url.startswith(("/", "https:")) else f"{root}/{url}"

    assert (load(server, "x", where).status, load(server, "x", where).code) == (400, "not_here")


def test_a_link_out_of_the_folder_is_not_followed(server: Served, root: Path, tmp_path: Path, release: Path) -> None:
    shutil.copytree(release, tmp_path / "model")
    link = root / "linked"
    link.symlink_to(tmp_path)

    assert load(server, "x", link / "model").code == "not_here"
    link.unlink()


@pytest.mark.parametrize("name", ["broken", "empty"])
def test_what_is_no_whole_release_is_refused_and_takes_no_room(server: Served, root: Path, name: str) -> None:
    for _ in range(3):
        said = load(server, "x", root / name / "model")
        assert (said.status, said.code) == (422, "no_release")
    assert server.get("/models").json == {"models": []}
    assert load(server, "x", root / "a" / "model").status == 200
    server.ask("DELETE", "/models/x")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"model_name": "a/b", "url": "/opt/ml/models"}', b'{"model_name": "a"}', b"{" * 70_000]
)
def test_a_request_that_asks_for_no_model_is_refused(server: Served, body: bytes) -> None:
    assert server.ask("POST", "/models", body).status in (400, 413)


def test_a_model_keeps_the_limits_that_it_has_alone(server: Served, loaded: str) -> None:
    path = f"/models/{loaded}/invoke"

    assert server.ask("POST", path, b"no photograph", JPEG).code == "not_an_image"
    assert server.ask("POST", path, b"x" * (6 * (1 << 20) + 1), JPEG).code == "body_too_large"


def test_one_of_three_is_served(earthsnap: Callable[..., Said]) -> None:
    said = earthsnap("serve", "release=plants-1", "models=models")

    assert said.code == 2
    assert "one of release, endpoint and models" in said.err


def test_a_folder_of_models_that_is_not_there_is_told(earthsnap: Callable[..., Said]) -> None:
    said = earthsnap("serve", "models=nowhere")

    assert said.code == 2
    assert "this folder is not there" in said.err
