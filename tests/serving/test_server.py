"""A server process answers as its release was evaluated, keeps what it said, and ends without losing a request."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from earthsnap_train.models.family import Family
from earthsnap_train.processes import LIFELINE_VARIABLE
from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.release.registry import Registry
from tests.conftest import Said, environment
from tests.serving.served import JPEG, Served, reply_on, served, start, until


@pytest.fixture(scope="module")
def release(tiny: Callable[..., Any]) -> Path:
    folder: Path = tiny("training=head").release()
    return folder


@pytest.fixture(scope="module")
def server(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(release, tmp_path_factory.mktemp("served")) as one:
        yield one


def golden(release: Path) -> list[tuple[bytes, dict[str, Any]]]:
    answers = json.loads((release / "golden/answers.json").read_text())
    return [((release / "golden" / answer["file"]).read_bytes(), answer) for answer in answers]


def in_json(*photographs: bytes) -> bytes:
    return json.dumps({"photographs": [base64.b64encode(one).decode() for one in photographs]}).encode()


def lines(folder: Path, kind: str) -> list[Any]:
    return [json.loads(line) for file in sorted(folder.rglob(f"{kind}-*.jsonl")) for line in file.open()]


# ---- answers


def test_it_gives_the_golden_answers(server: Served, release: Path) -> None:
    for data, expected in golden(release):
        said = server.identify(data, "application/octet-stream").json
        assert [one["species_id"] for one in said["species"]] == [species for species, _ in expected["top"]]
        assert [one["probability"] for one in said["species"]] == pytest.approx(
            [probability for _, probability in expected["top"]], abs=1e-4
        )
        assert said["group"]["name"] == expected["group"]
        assert {"rank": said["answer"]["rank"], "name": said["answer"]["name"]} == expected["answer"]


def test_predict_says_of_a_photograph_what_a_server_says(
    server: Served, tiny: Callable[..., Any], tmp_path: Path, earthsnap: Callable[..., Said]
) -> None:
    bundle = tiny("training=head").out("bundle")
    Registry(tmp_path / "registry").register("tiny", release_digest(bundle), bundle, reasons=[], summary={}, lineage={})
    Image.new("RGB", (64, 48), "blue").save(tmp_path / "blue.png")
    photographs = [tmp_path / "blue.png", *sorted((bundle / "golden").glob("*.png"))]
    said = earthsnap("predict", *map(str, photographs), "top=5", "--json")
    assert said.code == 0, said.err
    predicted = said.json["photographs"]

    assert len(predicted) == len(photographs)
    for photograph, one in zip(photographs, predicted, strict=True):
        served_one = server.identify(photograph.read_bytes(), "application/octet-stream").json
        for key in ("request_id", "release", "photographs"):
            del served_one[key]
        assert one == {"photograph": str(photograph), **served_one}


def test_sagemakers_route_and_ours_give_the_same_answer(server: Served, release: Path) -> None:
    photograph, _ = golden(release)[0]
    ours, theirs = (server.ask("POST", path, photograph, JPEG).json for path in ("/v1/identify", "/invocations"))
    assert ours.pop("request_id") != theirs.pop("request_id")
    assert ours == theirs


def test_an_answer_says_whose_it_is_what_it_is_and_why(server: Served, release: Path) -> None:
    said = server.identify(golden(release)[0][0]).json
    assert set(said) == {"request_id", "release", "answer", "reason", "lineage", "group", "species", "photographs"}
    assert said["request_id"].startswith(f"{said['release']}.")
    assert [taxon["rank"] for taxon in said["lineage"]] == ["family", "species"]
    assert said["lineage"][0]["probability"] >= said["lineage"][1]["probability"]
    likely = [taxon for taxon in said["lineage"] if taxon["probability"] >= 0.7]
    expected = ("not_recognised", None) if not likely else (
        "certain" if likely[-1]["rank"] == "species" else "rolled_up", likely[-1]["name"],
    )  # fmt: skip
    assert (said["reason"], said["answer"]["name"]) == expected


def test_several_photographs_of_one_plant_are_answered_together(server: Served, release: Path) -> None:
    first, second = (data for data, _ in golden(release)[:2])
    said = server.identify(in_json(first, second), "application/json").json
    alone = [server.identify(data).json for data in (first, second)]
    assert [one["species"] for one in said["photographs"]] == [one["species"] for one in alone]
    assert [one["group"] for one in said["photographs"]] == [one["group"] for one in alone]
    assert said["species"] != alone[0]["species"]
    same = server.identify(in_json(first, first), "application/json").json
    assert [one["probability"] for one in same["species"]] == pytest.approx(
        [one["probability"] for one in alone[0]["species"]], abs=1e-5
    )


def test_it_says_what_it_is(server: Served, release: Path) -> None:
    family = Family.model_validate_json((release / "family.json").read_bytes())
    said = server.get("/v1/info").json
    assert said["digest"] == release_digest(release)
    assert said["species"] == len(family.species)
    assert said["groups"] == list(family.groups)
    assert said["classes_digest"] == family.classes_digest
    assert said["preprocessing"] == {"image_px": 32, "crop_fraction": 1.0, "interpolation": "bicubic"}
    assert said["engine"] == "onnxruntime"
    assert server.get("/ping").status == 200


def test_no_torch_is_in_the_process(server: Served) -> None:
    loaded = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "onnxruntime" in loaded
    assert "libtorch" not in loaded


def test_prometheus_is_told_what_happened(server: Served, release: Path) -> None:
    before = server.metric('earthsnap_requests_total{code="200",route="/v1/identify"}')
    answers = server.metric("earthsnap_answers_total")
    assert server.identify(golden(release)[0][0]).status == 200
    assert server.identify(b"no photograph").status == 400
    assert server.metric('earthsnap_requests_total{code="200",route="/v1/identify"}') == before + 1
    assert server.metric('earthsnap_requests_total{code="400",route="/v1/identify"}') >= 1
    assert server.metric("earthsnap_answers_total") == answers + 1
    assert server.metric("earthsnap_models_open") == 4  # a trunk, the parent, and the children of two groups
    assert server.metric("process_resident_memory_bytes") > 1e7
    for name in ("waited_seconds", "batch_photographs", "children_run", "request_seconds"):
        assert server.metric(f"earthsnap_{name}_count") >= 1, name


# ---- refusals have one form


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "no_such_page"),
        ("GET", "/v1/identify", 405, "wrong_method"),
        ("POST", "/ping", 405, "wrong_method"),
        ("POST", "/v1/identify", 400, "empty_file"),
        ("POST", "/v1/feedback", 422, "bad_feedback"),
    ],
)
def test_every_refusal_has_a_code_a_sentence_and_a_request_id(
    server: Served, method: str, path: str, status: int, code: str
) -> None:
    reply = server.ask(method, path, b"" if method == "POST" else None)
    assert (reply.status, reply.code) == (status, code)
    assert reply.json["error"]["message"]
    assert reply.json["error"]["request_id"]


# ---- what people say


def test_a_correction_is_kept_with_its_request_and_no_photograph_is(server: Served, release: Path) -> None:
    photograph, _ = golden(release)[0]
    request_id = server.identify(photograph).json["request_id"]
    body = json.dumps({"request_id": request_id, "species_id": "rosa-rugosa", "comment": "leaves"}).encode()
    assert server.ask("POST", "/v1/feedback", body).status == 202
    until(lambda: any(line["request_id"] == request_id for line in lines(server.journal, "feedback")))
    kept = next(line for line in lines(server.journal, "feedback") if line["request_id"] == request_id)
    assert (kept["species_id"], kept["comment"]) == ("rosa-rugosa", "leaves")
    answer = next(line for line in lines(server.journal, "answers") if line["request_id"] == request_id)
    assert answer["num_photographs"] == 1
    assert answer["reason"] in ("certain", "rolled_up", "not_recognised")
    assert not [path for path in server.journal.rglob("*") if path.is_file() and path.suffix != ".jsonl"]
    assert sum(path.stat().st_size for path in server.journal.rglob("*.jsonl")) < len(lines(server.journal, "*")) * 2000


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        ({"request_id": "tiny-1.a", "species_id": "rosa-rugosaa"}, "unknown_species", "Did you mean 'rosa-rugosa'?"),
        ({"request_id": "../../etc", "species_id": "rosa-rugosa"}, "bad_feedback", "request_id"),
        ({"request_id": "tiny-1.a"}, "bad_feedback", "species_id"),
        ({"request_id": "tiny-1.a", "species_id": "rosa-rugosa", "x": 1}, "bad_feedback", "x"),
        ({"request_id": "tiny-1.a", "species_id": "rosa-rugosa", "comment": "a" * 2001}, "bad_feedback", "comment"),
    ],
)
def test_a_correction_that_cannot_be_meant_is_refused(server: Served, said: Any, code: str, message: str) -> None:
    reply = server.ask("POST", "/v1/feedback", json.dumps(said).encode())
    assert (reply.status, reply.code) == (422, code)
    assert message in reply.json["error"]["message"]


# ---- for programs and people


def test_the_pages_load_nothing_and_allow_nothing_but_themselves(server: Served) -> None:
    for path in ("/", "/docs"):
        reply = server.get(path)
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        page = reply.body.decode()
        assert "https://" not in page.replace("https://HOST/", "")
        assert " src=" not in page


def test_the_description_for_programs_covers_every_route(server: Served) -> None:
    api = server.get("/openapi.json").json
    assert {"/ping", "/invocations", "/v1/identify", "/v1/feedback", "/v1/info", "/metrics"} == set(api["paths"])
    content = api["paths"]["/v1/identify"]["post"]["requestBody"]["content"]
    assert {"image/jpeg", "image/png", "image/webp", "image/heic", "application/json"} <= set(content)
    assert {"200", "400", "413", "415", "422", "429", "503"} <= set(api["paths"]["/invocations"]["post"]["responses"])
    assert "/v1/identify" in server.get("/docs").body.decode()


def test_what_an_endpoint_asks_beside_an_answer_is_in_no_journal(release: Path, tmp_path: Path) -> None:
    photograph, _ = golden(release)[0]
    with served(release, tmp_path) as one:
        unseen = one.ask("POST", "/v1/identify", photograph, {"Content-Type": "image/jpeg", "X-Earthsnap-Shadow": "1"})
        seen = one.identify(photograph)
        assert (unseen.status, seen.status) == (200, 200)
        assert one.end() == 0
        assert [line["request_id"] for line in lines(one.journal, "answers")] == [seen.json["request_id"]]


# ---- its end


def test_told_to_end_it_answers_what_it_had_begun_and_refuses_what_comes_then(release: Path, tmp_path: Path) -> None:
    photograph, _ = golden(release)[0]
    with served(release, tmp_path) as one:
        begun = one.say("POST /invocations HTTP/1.1", "Host: x", f"Content-Length: {len(photograph)}")
        begun.sendall(photograph[:100])
        until(lambda: one.metric("earthsnap_requests_total") >= 0)
        one.process.terminate()
        until(lambda: not _listens(one))
        begun.sendall(photograph[100:])
        reply = reply_on(begun)
        assert (reply.status, len(reply.json["photographs"])) == (200, 1)
        assert one.process.wait(60) == 0
        assert [line["request_id"] for line in lines(one.journal, "answers")] == [reply.json["request_id"]]


def _listens(one: Served) -> bool:
    try:
        one.connect().close()
    except ConnectionRefusedError:
        return False
    return True


def test_it_ends_with_whoever_holds_its_lifeline(release: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        start(release, tmp_path).command, env={**environment(), LIFELINE_VARIABLE: str(reading)},
        stdout=subprocess.PIPE, text=True, pass_fds=(reading,),
    )  # fmt: skip
    assert process.stdout is not None
    assert "answers at" in process.stdout.readline()
    os.close(reading)
    assert process.poll() is None
    os.close(writing)
    assert process.wait(60) == 1
    process.stdout.close()


def test_it_listens_on_a_unix_socket(release: Path, tmp_path: Path, earthsnap_process: Callable[..., Said]) -> None:
    import socket

    place = tmp_path / "s.sock"
    process = subprocess.Popen(
        start(release, tmp_path).model_copy(update={"socket": place}).command, env=environment(),
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().strip().endswith(f"answers at unix:{place}")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(place))
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert reply_on(connection).status == 200
    process.terminate()
    assert process.wait(60) == 0
    process.stdout.close()
    assert not place.exists()


# ---- what does not fit is not served


def test_an_address_that_is_taken_is_said(server: Served, release: Path, earthsnap: Callable[..., Said]) -> None:
    said = earthsnap("serve", f"release={release}", f"port={server.port}")
    assert said.code == 2
    assert f"cannot listen at 127.0.0.1:{server.port}" in said.err


def _changed(release: Path, folder: Path, change: Callable[[Any], None]) -> Path:
    """A release that is whole in itself, but was made of things that do not belong together."""
    import hashlib

    shutil.copytree(release, folder)
    family = json.loads((folder / "family.json").read_text())
    change(family)
    (folder / "family.json").write_text(json.dumps(family))
    described = json.loads((folder / "release.json").read_text())
    described["files"]["family.json"] = hashlib.sha256((folder / "family.json").read_bytes()).hexdigest()
    (folder / "release.json").write_text(json.dumps(described))
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f["nodes"]["parent"]["classes"].append("rosa-nova"), "parent has 6 answers for 7 classes"),
        (lambda f: f["preprocessing"].update(image_px=64), "does not take photographs of 64 px"),
    ],
)
def test_a_release_whose_parts_do_not_fit_is_refused_before_it_listens(
    release: Path, tmp_path: Path, earthsnap: Callable[..., Said], change: Callable[[Any], None], said: str
) -> None:
    refused = earthsnap("serve", f"release={_changed(release, tmp_path / 'release', change)}", "port=0")
    assert refused.code == 4
    assert said in refused.err


def test_a_release_of_another_digest_is_refused(release: Path, tmp_path: Path) -> None:
    other = start(release, tmp_path).model_copy(update={"digest": "0" * 64})
    done = subprocess.run(other.command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "family.json is not what was registered" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say what is to be served"),
        (("release=plants-7",), "there is no release 'plants-7'"),
        (("release=/nowhere/at/all",), "no release lies in this folder"),
        (("release=plants-7", "endpoint=prod"), "say what is to be served"),
        (("endpoint=prod",), "the registry holds no release yet"),
    ],
)
def test_what_cannot_be_served_is_said(earthsnap: Callable[..., Said], arguments: tuple[str, ...], said: str) -> None:
    refused = earthsnap("serve", *arguments)
    assert refused.code == 2
    assert said in refused.err


def test_bf16_is_not_asked_of_an_engine_without_it(release: Path, earthsnap: Callable[..., Said]) -> None:
    refused = earthsnap("serve", f"release={release}", "serving.precision=bf16", "port=0")
    assert refused.code == 2
    assert "onnxruntime does not compute in bf16" in refused.err
