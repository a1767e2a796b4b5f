"""The page to try a release, in a real browser: a photograph in, a lineage out, and a person's correction."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.serving.served import Served, served, until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DROP = """([name, base64]) => {
    const bytes = Uint8Array.from(atob(base64), c => c.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name));
    for (const kind of ["dragenter", "dragover", "drop"])
        document.getElementById("drop").dispatchEvent(
            new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""


@pytest.fixture(scope="module")
def server(tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tiny("training=head").release(), tmp_path_factory.mktemp("page"), max_photographs=3) as one:
        yield one


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as running:
        one = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture(params=[390, 1200], ids=["phone", "desk"])
def page(browser: Any, server: Served, request: pytest.FixtureRequest) -> Iterator[Any]:
    phone = request.param < 500
    context = browser.new_context(viewport={"width": request.param, "height": 800}, has_touch=phone, is_mobile=phone)
    page = context.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda said: trouble.append(said.text) if "Content Security" in said.text else None)
    page.on("request", lambda asked: None if f":{server.port}/" in asked.url or asked.url.startswith(("blob:", "data:"))
            else trouble.append(asked.url))  # fmt: skip
    page.goto(f"http://127.0.0.1:{server.port}/")
    yield page
    assert not trouble
    context.close()


@pytest.fixture
def photographs(tiny: Callable[..., Any]) -> list[Path]:
    folder = tiny("training=head").release() / "golden"
    return [folder / answer["file"] for answer in json.loads((folder / "answers.json").read_text())]


def kept(server: Served, kind: str) -> list[Any]:
    """What the server's journal holds."""
    return [json.loads(line) for file in sorted(server.journal.rglob(f"{kind}-*.jsonl")) for line in file.open()]


def no_wider_than_its_window(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.slow
def test_a_photograph_that_is_dropped_is_named_with_its_lineage(
    page: Any, server: Served, photographs: list[Path]
) -> None:
    import base64

    data = photographs[0].read_bytes()
    said = server.identify(data).json
    page.evaluate(DROP, [photographs[0].name, base64.b64encode(data).decode()])
    page.wait_for_selector("#verdict", state="visible")
    verdict = page.inner_text("#verdict")
    expected = said["answer"]["scientific_name"] or "Not recognised"
    assert expected in verdict
    rows = page.locator("#lineage li").all_inner_texts()
    assert [row.split("\n")[0] for row in rows] == [taxon["rank"] for taxon in said["lineage"]]
    assert all("%" in row for row in rows)
    assert said["group"]["name"] in page.inner_text("#group")
    if said["reason"] != "certain":
        assert page.inner_text("#others-title") == "It might be"
        assert said["species"][0]["scientific_name"] in page.inner_text("#others")
    assert page.locator("#shown img").count() == 1
    assert no_wider_than_its_window(page)


@pytest.mark.slow
def test_several_photographs_of_one_plant_are_answered_together(
    page: Any, server: Served, photographs: list[Path]
) -> None:
    before = len(kept(server, "answers"))
    for number in (1, 2):
        page.set_input_files("#files", str(photographs[number]))
        until(lambda n=number: len(kept(server, "answers")) == before + n)
        page.wait_for_selector("#verdict", state="visible")
    assert [one["num_photographs"] for one in kept(server, "answers")[before:]] == [1, 2]
    page.wait_for_selector("#verdict", state="visible")
    assert page.locator("#shown img").count() == 2
    page.click("#again")
    assert page.locator("#shown img").count() == 0
    assert not page.is_visible("#answer")


@pytest.mark.slow
def test_a_file_that_is_no_photograph_is_said_and_the_others_stay(page: Any, photographs: list[Path]) -> None:
    wrong = [
        ({"name": "page.jpg", "mimeType": "image/jpeg", "buffer": b"<html>no</html>"}, "This file is no photograph."),
        ({"name": "a.gif", "mimeType": "image/gif", "buffer": _gif()}, "This kind of file is not read here"),
        ({"name": "empty.jpg", "mimeType": "image/jpeg", "buffer": b""}, "This file is empty."),
    ]
    page.set_input_files("#files", str(photographs[0]))
    page.wait_for_selector("#verdict", state="visible")
    for file, message in wrong:
        page.set_input_files("#files", [file])
        page.wait_for_selector("#problem", state="visible")
        assert message in page.inner_text("#problem")
        assert page.locator("#shown figure").count() == 1
    assert no_wider_than_its_window(page)


def _gif() -> bytes:
    import io

    out = io.BytesIO()
    Image.new("P", (8, 8)).save(out, "GIF")
    return out.getvalue()


@pytest.mark.slow
def test_a_person_who_knows_better_says_so_by_keyboard_alone(
    page: Any, server: Served, photographs: list[Path]
) -> None:
    before = len(kept(server, "answers")), len(kept(server, "feedback"))
    page.set_input_files("#files", str(photographs[0]))
    page.wait_for_selector("#verdict", state="visible")
    page.focus("#species")
    page.keyboard.type("Rosa-Rugosa")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    until(lambda: "Thank you" in page.inner_text("#thanks"))
    until(lambda: len(kept(server, "answers")) > before[0] and len(kept(server, "feedback")) > before[1])
    said = kept(server, "feedback")[-1]
    assert (said["request_id"], said["species_id"]) == (kept(server, "answers")[-1]["request_id"], "rosa-rugosa")
    page.fill("#species", "rosa nova")
    page.press("#species", "Enter")
    until(lambda: "no species is called" in page.inner_text("#thanks"))


@pytest.mark.slow
def test_the_page_can_be_walked_through_by_keyboard(page: Any) -> None:
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert "files" in reached
    assert page.evaluate("document.querySelector('label[for=files]') !== null")
