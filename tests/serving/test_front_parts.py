"""Whose turn it is, how latencies are kept, and the command that starts an endpoint."""

import asyncio
import math
import random
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.serving.front_command import address, endpoint_command
from earthsnap_train.serving.front_figures import Latencies
from earthsnap_train.serving.front_http import Answer, Question, Refused, Room, read_question
from earthsnap_train.serving.front_turns import GOLDEN, ROOT_OF_TWO, Turns
from tests.conftest import declare


@pytest.mark.parametrize("step", [GOLDEN, ROOT_OF_TWO])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.25, 0.5, 0.9])
def test_any_fifty_turns_in_a_row_hold_a_share_within_two(step: float, share: float) -> None:
    turns = Turns(step)
    taken = [turns.take(share) for _ in range(5000)]
    assert all(abs(sum(taken[at : at + 50]) - 50 * share) <= 2 for at in range(4950))


@pytest.mark.parametrize("rhythm", [2, 3, 5, 10, 20])
def test_a_rhythm_in_the_traffic_meets_no_turn_more_often_than_others(rhythm: int) -> None:
    turns = Turns(GOLDEN)
    taken = [turns.take(0.1) for _ in range(200 * rhythm)]
    for beat in range(rhythm):
        assert 15 <= sum(taken[beat::rhythm]) <= 25


def test_a_share_of_nothing_and_of_all_is_just_that() -> None:
    turns = Turns(GOLDEN)
    assert not any(turns.take(0.0) for _ in range(1000))
    assert all(turns.take(1.0) for _ in range(1000))


def test_percentiles_are_right_within_three_percent_and_unknown_of_nothing() -> None:
    rng = random.Random(0)
    seconds = sorted(rng.lognormvariate(-4, 1) for _ in range(5000))
    latencies = Latencies()
    assert latencies.percentiles() is None
    for one in seconds:
        latencies.add(one)

    found = latencies.percentiles()

    assert found is not None
    for share, value in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
        assert math.isclose(value, 1000 * seconds[math.ceil(share * 5000) - 1], rel_tol=0.03)


@pytest.mark.parametrize(
    ("body", "unsure", "species"),
    [
        (b'{"reason": "certain", "species": [{"species_id": "a"}]}', False, "a"),
        (b'{"reason": "rolled_up", "species": [{"species_id": "a"}]}', True, "a"),
        (b'{"reason": "not_recognised", "species": []}', True, None),
        (b"[1]", False, None),
        (b"not json", False, None),
    ],
)
def test_an_answer_is_read_however_odd_it_is(body: bytes, unsure: bool, species: str | None) -> None:
    answer = Answer(status=200, headers=[], body=body)
    assert (answer.is_unsure, answer.species) == (unsure, species)


@pytest.mark.parametrize("name", ["plain", "with a space", "it's", "back\\slash'", "${dollar}", "a,b=[c]", "end\\"])
def test_the_command_of_an_endpoint_says_again_what_was_declared(tmp_path: Path, name: str) -> None:
    registry = tmp_path / name
    spec = declare(
        "status", "serving.timeout_s=3.5", "serving.workers=2", "deployment.prod.port=8123", "deployment.prod.host=::1",
        "deployment.prod.canary.shadow_share=0.7",
    )  # fmt: skip
    paths = spec.paths.model_copy(update={"registry": str(registry)})
    command = endpoint_command(spec.model_copy(update={"paths": paths}), "plants", "prod")

    again = declare(*command[3:])

    assert command[1:4] == ["-m", "earthsnap_train", "serve"]
    assert again.paths.registry == str(registry)
    assert again.serving == spec.serving
    assert again.deployment.prod.canary == spec.deployment.prod.canary
    assert (again.deployment.prod.host, again.deployment.prod.port) == ("::1", 8123)
    assert again.job.model_dump(include={"verb", "endpoint", "family", "release"}) == {
        "verb": "serve", "endpoint": "prod", "family": "plants", "release": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("here", "http://here:80"),
    ],
)
def test_an_endpoint_on_every_interface_is_reached_at_this_machine_s_own(host: str, url: str) -> None:
    assert address(host, 80) == url


# ---- bodies


def reading(parts: list[bytes], room: Room, *, max_bytes: int = 100, goes_away: bool = False) -> Question | None:
    """Reads a request whose body comes in these parts."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = goes_away

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    scope = {"method": "POST", "raw_path": b"/invocations", "query_string": b"", "headers": [
        (b"X-Earthsnap-Shadow".lower(), b"1"), (b"x-earthsnap-release", b"plants-2"), (b"accept", b"a"), (b"accept", b"b"),
    ]}  # fmt: skip
    return asyncio.run(read_question(scope, receive, max_bytes=max_bytes, within_s=5, room=room))


def test_a_question_is_read_whole_and_takes_its_room() -> None:
    room = Room(left_bytes=10)
    question = reading([b"ab", b"", b"cd"], room)
    assert question is not None
    assert (question.body, question.pinned, question.target) == (b"abcd", "plants-2", "/invocations")
    assert room.left_bytes == 6


def test_what_only_the_endpoint_may_say_to_a_server_is_not_passed_on() -> None:
    question = reading([b"ab"], Room(left_bytes=10))
    assert question is not None
    assert dict(question.headers) == {"accept": "a, b"}
    assert question.unseen.headers["X-Earthsnap-Shadow"] == "1"


@pytest.mark.parametrize(("max_bytes", "status"), [(100, 429), (5, 413)])
def test_a_body_without_room_is_refused_and_leaves_none_taken(max_bytes: int, status: int) -> None:
    room = Room(left_bytes=8)
    with pytest.raises(Refused) as refused:
        reading([b"12345", b"67890", b"more"], room, max_bytes=max_bytes)
    assert refused.value.answer.status == status
    assert room.left_bytes == 8


def test_a_client_that_goes_away_leaves_no_room_taken() -> None:
    room = Room(left_bytes=8)
    assert reading([b"123"], room, goes_away=True) is None
    assert room.left_bytes == 8
