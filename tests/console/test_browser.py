"""A person at a real browser: from the link on the terminal to live in production, and back."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.registry import Registry
from tests.conftest import FinishedRun, environment, program
from tests.console.conftest import Console
from tests.serving.endpoint_kit import free_port

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.slow
LONGEST_MS = 120_000  # to live: two server processes, tests and two canary steps, on a machine that others use too


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright, which drives the browser")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser: {CHROMIUM} is not there")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any) -> Iterator[Any]:
    """A page that fails the test where the browser has something to complain about."""
    complaints: list[str] = []
    context = chromium.new_context()
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert not complaints


def link(console: Console) -> str:
    return f"http://127.0.0.1:{console.port}/sign-in?once={console.desk.sessions.link_for('anna')}"


def test_a_page_is_worked_by_keyboard_alone(console: Console, tab: Any) -> None:
    console.register(1)
    tab.goto(link(console))
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "To the content"
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent").startswith("plants-1")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/releases/plants-1")

    tab.focus("textarea")
    tab.keyboard.type("good enough")
    tab.keyboard.press("Tab")
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.keyboard.press("Enter")

    tab.wait_for_selector("text=You approved plants-1.")
    assert console.registry.get("plants-1").state == "Approved"


def test_everything_works_without_script(console: Console, chromium: Any) -> None:
    for seed in (1, 2):
        console.go_live(console.register(seed))
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(link(console))
    tab.click("text=Production")
    tab.click("text=Roll back plants-2")
    tab.fill("textarea", "it lies")
    tab.click("button:has-text('Roll back to plants-1')")

    assert "plants-1 answers all of production." in tab.text_content("h1")
    assert console.deployments.champion("plants") == 1
    context.close()


def test_figures_refresh_and_the_focus_stays(console: Console, tab: Any) -> None:
    console.go_live(console.register(1))
    rollout = console.begin(console.register(2))
    tab.goto(link(console))
    tab.goto(f"http://127.0.0.1:{console.port}/rollouts/plants")
    tab.focus("text=Roll back plants-1")
    tab.wait_for_timeout(4500)
    assert tab.evaluate("document.activeElement.textContent").startswith("Roll back plants-1")

    console.deployments.fail(rollout, "it burns", origin="test")

    tab.wait_for_selector("h1:has-text('plants-1 answers all of production.')", timeout=LONGEST_MS)
    console.desk.sessions._open.clear()
    tab.wait_for_url("**/sign-in?next=**", timeout=LONGEST_MS)


def test_a_report_can_do_nothing_in_the_name_of_who_reads_it(console: Console, chromium: Any) -> None:
    """It tries what a form, a fetch and a link can do; only the link leads anywhere, and to a page that only shows."""
    release = console.register(1)
    hostile = """<body><a id="link" href="comparison.html">beside</a>
    <form id="form" method="post" action="/releases/plants-1/decide"><input name="decision" value="approve"></form><script>
    document.title = "ran"; let seen = "";
    try { seen += document.cookie; } catch { seen += "no cookie "; }
    try { seen += localStorage.length; } catch { seen += "no storage "; }
    fetch("/").then(() => seen += "fetched", () => seen += "no fetch ").then(() => document.body.dataset.seen = seen);
    document.getElementById("form").submit();
    </script>"""
    console.registry.attach(release, "report/report.html", hostile.encode())
    console.registry.attach(release, "report/comparison.html", b"<h1>compared</h1>")
    context = chromium.new_context()
    tab = context.new_page()
    tab.goto(link(console))
    with context.expect_page() as opened:
        tab.goto(f"http://127.0.0.1:{console.port}/releases/plants-1")
        tab.click("text=The whole report")
    report = opened.value
    report.wait_for_selector("body[data-seen]")

    assert report.title() == "ran"
    assert report.get_attribute("body", "data-seen") == "no cookie no storage no fetch "
    assert report.evaluate("window.opener") is None
    assert console.registry.get("plants-1").state == "PendingApproval"
    report.click("#link")
    report.wait_for_selector("h1:has-text('compared')")
    context.close()


@pytest.mark.parametrize("width", [1200, 390])
def test_no_page_is_wider_than_its_window(console: Console, tab: Any, width: int) -> None:
    console.go_live(console.register(1))
    console.register(2, "family.top1 is only 0.2; at least 0.6 is required")
    console.begin(console.register(3), share=0.1)
    tab.set_viewport_size({"width": width, "height": 800})
    tab.goto(link(console))
    for path in (
        "/",
        "/releases/plants-2",
        "/releases/plants-3",
        "/rollouts/plants",
        "/history",
        "/releases/plants-2/overrule",
    ):
        tab.goto(f"http://127.0.0.1:{console.port}{path}")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, path
        assert tab.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]), select, textarea')].every(f => f.labels.length)"
        )


# ---- from approval to live, with the processes that people start


@pytest.fixture
def two_releases(finished_run: FinishedRun, tmp_path: Path) -> Registry:
    """The demo's, and another that answers the same."""
    shutil.copytree(finished_run.folder / "registry", tmp_path / "registry")
    registry = Registry(tmp_path / "registry")
    first = registry.releases()[0]
    shutil.copytree(
        first.path, tmp_path / "bundle", ignore=shutil.ignore_patterns("report", "evaluation", "release.json")
    )
    family = json.loads((tmp_path / "bundle" / "family.json").read_bytes())
    next(iter(family["nodes"].values()))["head_multiply_adds"] += 1
    (tmp_path / "bundle" / "family.json").write_text(json.dumps(family))
    digest = release_digest(tmp_path / "bundle")
    registry.register(first.family, digest, tmp_path / "bundle", reasons=(), summary=first.summary, lineage={})
    return registry


@contextmanager
def running(*arguments: str, folder: Path) -> Iterator[Any]:
    """A command until the test is done with it; it ends as if somebody had pressed Ctrl-C."""
    process = subprocess.Popen(
        program(*arguments), cwd=folder, env=environment(PYTHONUNBUFFERED="1"), stdout=subprocess.PIPE, text=True,
        start_new_session=True,
        # Where the tests run in the background an interrupt is ignored, and that would be inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=60)
        finally:
            process.kill()


def test_from_approval_to_live_and_back_by_a_button(
    two_releases: Registry, earthsnap_process: Callable[..., Any], tmp_path: Path, tab: Any
) -> None:
    family = two_releases.releases()[0].family
    one, two = f"{family}-1", f"{family}-2"
    paths = [f"paths.{name}={tmp_path / name}" for name in ("store", "outputs", "registry", "groupings", "journal")]
    ports = [f"deployment.{name}.port={free_port()}" for name in ("stage", "prod")]
    quick = ["deployment.prod.steps=[{share: 0.2, bake_s: 1}]", "deployment.prod.canary.min_requests=10",
             "deployment.stage.tests.load_s=1", "deployment.stage.tests.max_p99_ms=10000",
             "deployment.prod.canary.max_latency_ratio=100"]  # fmt: skip
    declared = [*paths, *ports, *quick, f"name={family}"]
    try:
        with (
            running("console", "port=0", *declared, folder=tmp_path) as console,
            running("watch", *declared, folder=tmp_path),
        ):
            found = re.search(r"http://\S+\?once=\S+", console.stdout.readline())
            assert found is not None
            tab.goto(found[0])
            assert "2 releases wait for you." in tab.text_content("h1")

            for name, champion in ((one, 1), (two, 2)):
                tab.click("nav >> text=Releases")
                tab.click(f".todo >> text={name}")
                tab.fill("textarea", f"{name} is good")
                tab.click("button:has-text('Approve')")
                tab.wait_for_selector(f"text=You approved {name}.")
                tab.click("text=Watch production")
                tab.wait_for_selector(f"h1:has-text('{name} answers all of production.')", timeout=LONGEST_MS)
                assert Deployments(two_releases.ledger).champion(family) == champion
            tab.wait_for_selector(f"table.served >> text={two}", timeout=LONGEST_MS)

            tab.click(f"text=Roll back {two}")
            assert f"{one} will answer all of production again" in tab.text_content(".lede")
            tab.fill("textarea", "users complain")
            tab.click(f"button:has-text('Roll back to {one}')")
            assert f"{one} answers again" in tab.text_content("[role=status]")
            tab.wait_for_selector(f"table.served >> text={one}", timeout=LONGEST_MS)
            assert Deployments(two_releases.ledger).champion(family) == 1
            tab.goto("about:blank")  # or it would miss the console that ends now
    finally:
        for endpoint in ("stage", "prod"):
            earthsnap_process("stop", f"endpoint={endpoint}", *declared)
    said = [(e.action, e.release, e.why) for e in two_releases.ledger.history() if e.origin == "console"]
    assert [line for line in said if line[0] != "signed in"] == [
        ("approved", one, f"{one} is good"), ("approved", two, f"{two} is good"), ("rolled back", two, "users complain"),
    ]  # fmt: skip
