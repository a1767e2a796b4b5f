"""What people decide on, and that it is decided once, by those who may, knowing what they overrule."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from earthsnap_train.evaluation.compare import compare
from earthsnap_train.evaluation.figures import Name
from earthsnap_train.evaluation.gates import GateResult
from earthsnap_train.release.locks import WATCH
from earthsnap_train.release.registry import Release
from tests.console.conftest import Console
from tests.evaluation.conftest import photo
from tests.evaluation.test_compare import ROSE, entry, shares
from tests.evaluation.test_report import HOSTILE

ONE, TWO, THREE = "plants-1", "plants-2", "plants-3"


def state(console: Console, name: str) -> str:
    return console.registry.get(name).state


# ---- all of them


def test_the_first_page_says_what_waits_and_what_is_live(console: Console) -> None:
    console.go_live(console.register(1, top1=0.91))
    console.register(2, top1=0.93)

    words = console.sign_in().get("/").words

    assert "plants-2 waits for you." in words
    assert "Live plants-1 91.0% named right" in words
    assert "plants-2 waits for approval 93.0%" in words
    assert "plants-2 waits for an approver." in console.sign_in("ben", "viewer").get("/").words


def test_a_release_that_waits_in_stage_waits_for_a_person_too(console: Console) -> None:
    console.begin(console.register(1))

    page = console.sign_in().get("/")

    assert "plants-1 waits for you." in page.words
    assert '<a href="/rollouts/plants">' in page.text


def test_an_empty_registry_says_how_to_fill_it(console: Console) -> None:
    words = console.sign_in().get("/").words

    assert "No release yet." in words
    assert "earthsnap +experiment=plants" in words


def test_the_newest_are_shown_first_and_all_when_asked_for(console: Console) -> None:
    for seed in range(15):
        console.register(seed)
    browser = console.sign_in()

    def rows(path: str) -> list[str]:
        return re.findall(r'<th scope="row"><a href="/releases/([^"]+)"', browser.get(path).text)

    assert rows("/") == [f"plants-{number}" for number in range(15, 3, -1)]
    assert rows("/?all=plants") == [f"plants-{number}" for number in range(15, 0, -1)]


# ---- deciding


def test_approving_says_who_and_why_and_from_where(console: Console) -> None:
    console.register(1)

    page = console.sign_in().submit(
        f"/releases/{ONE}/decide", {"decision": "approve", "why": "good\r\nenough "}, on=f"/releases/{ONE}"
    )

    assert state(console, ONE) == "Approved"
    assert console.log()[-1] == ("anna", "approved", ONE, "good\nenough")
    assert "You approved plants-1." in page.words
    assert 'value="reject"' not in page.text


def test_what_was_said_is_said_once_and_not_to_a_page_that_asks_by_itself(console: Console) -> None:
    console.register(1)
    browser = console.sign_in()
    hidden = {"csrf": browser.get("/").field("csrf"), "seen": "PendingApproval"}
    browser.post(f"/releases/{ONE}/decide", {**hidden, "decision": "approve", "why": ""})

    assert "You approved" not in browser.get("/rollouts/plants/live").words
    assert "You approved" in browser.get("/rollouts/plants").words
    assert "You approved" not in browser.get("/rollouts/plants").words


def test_rejecting_needs_a_reason_and_keeps_what_was_typed_out(console: Console) -> None:
    console.register(1)
    browser = console.sign_in()

    refused = browser.submit(f"/releases/{ONE}/decide", {"decision": "reject", "why": "  "}, on=f"/releases/{ONE}")

    assert refused.status == 422
    assert "Say why you reject it" in refused.words
    assert state(console, ONE) == "PendingApproval"
    browser.submit(f"/releases/{ONE}/decide", {"decision": "reject", "why": "no roses"}, on=f"/releases/{ONE}")
    assert state(console, ONE) == "Rejected"
    assert console.log()[-1] == ("anna", "rejected", ONE, "no roses")


def test_who_decides_on_what_is_so_no_more_is_told_by_whom(console: Console) -> None:
    console.register(1)
    browser = console.sign_in()
    hidden = {"csrf": browser.get("/").field("csrf"), "seen": "PendingApproval"}
    console.registry.reject(ONE, why="no roses", origin="test", who="ben")

    answer = browser.post(f"/releases/{ONE}/decide", {**hidden, "decision": "approve", "why": "my reason"})

    assert answer.status == 409
    assert "Nothing was changed: plants-1 is no longer PendingApproval" in answer.words
    assert "by ben" in answer.words
    assert state(console, ONE) == "Rejected"


def test_two_who_decide_the_same_are_told_so(console: Console) -> None:
    console.register(1)
    browser = console.sign_in()
    hidden = {"csrf": browser.get("/").field("csrf"), "seen": "PendingApproval"}
    console.registry.approve(ONE, why="", origin="test", who="ben")

    answer = browser.post(f"/releases/{ONE}/decide", {**hidden, "decision": "approve", "why": ""})

    assert "Nothing was changed" in browser.get(answer.location).words
    assert [entry.who for entry in console.registry.ledger.history(ONE) if entry.action == "approved"] == ["ben"]


@pytest.mark.parametrize("sent", [{"seen": "Whatever"}, {"seen": ""}, {"decision": "Approve"}, {"decision": ""}])
def test_a_form_that_says_nothing_known_changes_nothing(console: Console, sent: dict[str, str]) -> None:
    console.register(1)
    browser = console.sign_in()
    whole = {"csrf": browser.get("/").field("csrf"), "seen": "PendingApproval", "decision": "approve", "why": ""}

    assert browser.post(f"/releases/{ONE}/decide", {**whole, **sent}).status == 400
    assert state(console, ONE) == "PendingApproval"


def test_what_is_not_as_it_was_registered_is_not_approved(console: Console) -> None:
    release = console.register(1)
    (release.path / "nodes" / "flat.onnx").write_bytes(b"something else")

    page = console.sign_in().submit(
        f"/releases/{ONE}/decide", {"decision": "approve", "why": ""}, on=f"/releases/{ONE}"
    )

    assert page.status == 409
    assert "nodes/flat.onnx is not what was registered" in page.words
    assert state(console, ONE) == "PendingApproval"


def test_a_rejection_is_overruled_in_a_step_of_its_own(console: Console) -> None:
    console.register(1, "family.top1 is only 0.2; at least 0.6 is required")
    browser = console.sign_in()
    page = browser.get(f"/releases/{ONE}")
    assert "Rejected by its gates family.top1 is only 0.2" in page.words
    assert 'value="approve"' not in page.text
    hidden = {"csrf": page.field("csrf"), "seen": "Rejected"}

    assert browser.post(f"/releases/{ONE}/decide", {**hidden, "decision": "approve", "why": "x"}).status == 409
    for lacking in ({"why": "x"}, {"anyway": "yes"}, {"anyway": "no", "why": "x"}):
        assert browser.post(f"/releases/{ONE}/overrule", {**hidden, **lacking}).status == 422
    assert state(console, ONE) == "Rejected"
    browser.submit(
        f"/releases/{ONE}/overrule", {"anyway": "yes", "why": "it is urgent"}, on=f"/releases/{ONE}/overrule"
    )

    assert state(console, ONE) == "Approved"
    assert console.log()[-1] == ("anna", "approved", ONE, "it is urgent")
    assert console.registry.ledger.history(ONE)[-1].figures == {"overruled": True}


def test_rejecting_what_is_live_says_what_answers_then(console: Console) -> None:
    for seed in (1, 2):
        console.go_live(console.register(seed))
    browser = console.sign_in()
    assert "plants-1 will answer all of production instead" in browser.get(f"/releases/{TWO}/withdraw").words
    assert browser.submit(f"/releases/{TWO}/withdraw", {"why": ""}, on=f"/releases/{TWO}/withdraw").status == 422

    page = browser.submit(f"/releases/{TWO}/withdraw", {"why": "it lies"}, on=f"/releases/{TWO}/withdraw")

    assert "You rejected plants-2. Production: plants-1 answers again." in page.words
    assert console.deployments.champion("plants") == 1
    assert state(console, TWO) == "Rejected"


@pytest.mark.parametrize(("path", "seed_reasons"), [("overrule", ()), ("withdraw", ())])
def test_a_step_that_does_not_apply_is_no_page(console: Console, path: str, seed_reasons: tuple[str, ...]) -> None:
    console.register(1, *seed_reasons)

    assert console.sign_in().get(f"/releases/{ONE}/{path}").status == 409


def test_who_decides_learns_whether_anybody_carries_it_out(console: Console) -> None:
    console.register(1)
    browser = console.sign_in()
    assert "earthsnap watch" in browser.get(f"/releases/{ONE}").words

    with FileLock(console.registry.root / WATCH):
        assert "earthsnap watch" not in browser.get(f"/releases/{ONE}").words


# ---- the evidence


@pytest.fixture
def compared(console: Console) -> Release:
    """plants-2, which names oaks better than plants-1 that is live, and roses worse."""
    console.go_live(console.register(1))
    release = console.register(2, top1=0.913)
    rights = {ROSE: shares(10, 28), "quercus-robur": shares(20, 20)}
    was = {ROSE: shares(26, 28), "quercus-robur": shares(8, 20)}
    found = compare(entry(TWO, rights), entry(ONE, was), read_photo=photo)
    gates = [GateResult(metric="family.top1", direction="min", bound=0.9, value=0.913, passed=True),
             GateResult(metric="champion.worst_species", direction="min", bound=-0.3, value=-0.57, passed=False)]  # fmt: skip
    for name, text in (
        ("report/comparison.json", found.model_dump_json()),
        ("report/gates.json", json.dumps([gate.model_dump() for gate in gates])),
        ("report/NOTES.md", f"# {TWO}\n{HOSTILE}"),
    ):
        console.registry.attach(release, name, text.encode())
    return release


def test_a_release_stands_beside_the_champion(console: Console, compared: Release) -> None:
    page = console.sign_in().get(f"/releases/{TWO}")

    assert "91 of 100 photographs get the right name." in page.words
    assert "the one that is live" in page.words
    assert "1 species is recognised worse" in page.words
    assert re.search(r"93% 36% −57 −\d+ to −\d+", page.words)
    assert re.search(r"40% 100% \+60 \+\d+ to \+\d+", page.words)
    assert "data:image/webp;base64," in page.text
    assert re.search(r"Hardest hit species, beside the champion −57\.0 at least −30\.0", page.words, re.IGNORECASE)


def test_a_comparison_that_cannot_be_made_is_said_to_be_none(console: Console, compared: Release) -> None:
    console.register(3)

    words = console.sign_in().get(f"/releases/{TWO}?beside={THREE}").words

    assert "Beside another release" in words
    assert "plants-2 cannot be compared with plants-3: this is not a taxonomy" in words


def test_what_is_damaged_in_the_evidence_is_left_out(console: Console, compared: Release) -> None:
    for name in ("comparison.json", "gates.json"):
        (compared.path / "report" / name).write_bytes(b'{"format": 1, \xff')

    assert console.sign_in().get(f"/releases/{TWO}").status == 200


def test_names_and_reasons_are_shown_and_never_run(console: Console, compared: Release) -> None:
    name = Name(species_id=ROSE, scientific=HOSTILE, common=HOSTILE)
    new = entry(TWO, {ROSE: shares(5, 20)}, names={ROSE: name}, group_of={ROSE: HOSTILE})
    old = entry(
        ONE,
        {
            ROSE: shares(19, 20),
        },
        names={ROSE: name, "gone": name},
        group_of={ROSE: "x", "gone": "x"},
    )
    found = compare(new, old, read_photo=photo)
    (compared.path / "report" / "comparison.json").write_text(found.model_dump_json())
    console.register(3, HOSTILE)
    browser = console.sign_in()
    browser.submit(f"/releases/{TWO}/decide", {"decision": "reject", "why": HOSTILE}, on=f"/releases/{TWO}")

    in_address = "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E"
    pages = ["/", f"/releases/{TWO}", f"/releases/{THREE}", f"/releases/{TWO}/overrule", "/history"]
    elsewhere = [
        f"/releases/{in_address}",
        f"/rollouts/{in_address}",
        f"/history?who={in_address}",
        f"/?all={in_address}",
    ]
    for path in [*pages, *elsewhere]:
        assert "<script>alert" not in browser.get(path).text, path
    for path in pages:
        assert "&lt;script&gt;alert(1)" in browser.get(path).text, path


# ---- pages that came with the release


@pytest.mark.parametrize("page", ["report.html", "comparison.html"])
def test_a_report_is_shown_where_it_can_do_nothing(console: Console, page: str) -> None:
    release = console.register(1)
    console.registry.attach(release, f"report/{page}", b"<script>alert(1)</script>")

    answer = console.sign_in().get(f"/releases/{ONE}/{page}")

    assert answer.text == "<script>alert(1)</script>"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none';")
    assert "allow-same-origin" not in policy
    assert "form-action 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"


def test_no_address_leads_to_another_file(console: Console, tmp_path: Path) -> None:
    release = console.register(1)
    (release.path / "report").mkdir()
    (release.path / "report" / "secret.txt").write_text("a secret")
    (tmp_path / "secret.txt").write_text("a secret")
    browser = console.sign_in()

    inside = (
        "secret.txt",
        "../secret.txt",
        "..%2fsecret.txt",
        "report%2fsecret.txt",
        "report.html",
        "report/report.html",
    )
    for path in (
        *(f"/releases/{ONE}/{one}" for one in inside),
        f"/releases/{ONE}%2f..%2f..%2fsecret.txt/report.html", "/releases/..%2f..%2f/report.html", "/releases/%00/report.html",
        "/static/../registry.sqlite", "/static/..%2f..%2fregistry.sqlite",
    ):  # fmt: skip
        answer = browser.get(path)
        assert answer.status == 404, path
        assert "a secret" not in answer.text


def test_a_release_knows_its_own_report_alone(open_console: Callable[..., Console]) -> None:
    console = open_console()
    one, two = console.register(1), console.register(2)
    for release in (one, two):
        console.registry.attach(release, "report/report.html", release.name.encode())

    assert console.sign_in().get(f"/releases/{TWO}/report.html").text == TWO
