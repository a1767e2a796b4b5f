"""Before a release is registered it stands beside the champion."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.errors import IntegrityError
from earthsnap_train.evaluation.compare import compare_releases
from earthsnap_train.evaluation.compare_entry import Entry
from earthsnap_train.pipeline.champion import BesideChampion, attach_evaluation, beside_champion
from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.load import verify
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.spec.evaluation import Gate
from tests.conftest import DEMO, FinishedRun, Said

GATES = {"champion.top1_high": Gate(min=1.1)}  # which nothing can reach


def register(family: Any, registry: Registry) -> Release:
    bundle = family.out("bundle")
    release, _ = registry.register("tiny", release_digest(bundle), bundle, reasons=(), summary={}, lineage={})
    attach_evaluation(registry, release, family.out("evaluate/family"))
    return release


def make_live(registry: Registry, name: str) -> None:
    registry.approve(name, why="", origin="test", anyway=True)
    release, deployments = registry.get(name), Deployments(registry.ledger)
    rollout = deployments.begin(release.family, release.number, origin="test")
    deployments.go_live(rollout, standby=False, origin="test")


def beside(family: Any, registry: Registry) -> BesideChampion:
    stages = ("ingest", "bundle", "evaluate/family")
    folders = {name: family.out(name) for name in stages}
    digest = release_digest(folders["bundle"])
    return beside_champion(family.plan, folders, family.places, registry, digest, GATES)


@pytest.fixture
def registry(tmp_path: Path, tiny: Callable[..., Any]) -> Registry:
    """Its champion is ``tiny-1``."""
    registry = Registry(tmp_path / "registry")
    make_live(registry, register(tiny("training=head"), registry).name)
    return registry


def test_without_a_champion_no_gate_is_judged_and_that_is_said(tiny: Callable[..., Any], tmp_path: Path) -> None:
    found = beside(tiny("training=head"), Registry(tmp_path / "registry"))
    assert found.comparison is None
    assert found.gates == ()
    assert found.line == "none yet: nothing to compare with"
    assert found.summary() == {"release": None, "not_judged": "none yet: nothing to compare with"}
    assert found.pages("2026-11-22").keys() == {"NOTES.md"}


def test_a_release_is_not_compared_with_itself(tiny: Callable[..., Any], registry: Registry) -> None:
    found = beside(tiny("training=head"), registry)
    assert found.comparison is None
    assert found.line == "tiny-1 is this very release"


def test_a_release_knows_which_id_a_synonym_led_to_another(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family, ids_now = tiny("training=head"), {"rosa-alba": "rosa-canina"}
    family.run("bundle", tmp_path / "bundle", settings={"ids_now": ids_now})
    assert Entry.of_artifacts(tmp_path / "bundle", family.out("evaluate/family")).ids_now == ids_now
    assert release_digest(tmp_path / "bundle") == release_digest(family.out("bundle"))


def test_a_new_release_is_compared_with_the_champion_and_its_gates_are_judged(
    tiny: Callable[..., Any], registry: Registry
) -> None:
    family = tiny("training=head", "seed=1")
    found = beside(family, registry)
    assert found.comparison is not None
    assert found.comparison.judged is not None
    assert found.comparison.judged.pairs.num_images == found.comparison.new.num_images
    assert [gate.passed for gate in found.gates] == [False]
    assert found.gates[0].reason.startswith("beside tiny-1: top1 ")
    named = found.named(register(family, registry))
    pages = named.pages("2026-11-22")
    assert pages.keys() == {"comparison.json", "comparison.html", "NOTES.md"}
    assert pages["NOTES.md"].startswith("# tiny-2\n")
    assert "tiny-2 beside tiny-1" in pages["comparison.html"]
    assert json.loads(pages["comparison.json"])["new"]["release"] == "tiny-2"


def test_lost_photographs_are_shown_as_they_are_found_in_the_dataset(
    tiny: Callable[..., Any], registry: Registry
) -> None:
    comparison = beside(tiny("training=head", "training.num_epochs=1", "training.lr=1e-9"), registry).comparison
    assert comparison is not None
    assert comparison.judged is not None
    assert comparison.judged.lost
    assert all((one.picture or "").startswith("data:image/webp") for one in comparison.judged.lost)


def test_entries_alone_are_enough_to_compare_later(tiny: Callable[..., Any], registry: Registry) -> None:
    family = tiny("training=head", "seed=1")
    with_store = beside(family, registry).named(release := register(family, registry)).comparison
    assert with_store is not None
    from_entries = compare_releases(registry.get("tiny-2"), registry.get("tiny-1"))
    assert from_entries.figures() == with_store.figures()
    assert from_entries.new == with_store.new
    verify(release.path, digest=release.digest)  # what is kept beside a release is no part of it


def test_an_entry_without_predictions_is_compared_by_names_and_costs(
    tiny: Callable[..., Any], registry: Registry
) -> None:
    shutil.rmtree(registry.get("tiny-1").path / "evaluation")
    found = beside(tiny("training=head", "seed=1"), registry)
    assert found.gates == ()
    assert found.line.startswith("tiny-1: tiny-1 was registered before predictions were kept")


def test_a_damaged_entry_is_named(tiny: Callable[..., Any], registry: Registry) -> None:
    damaged = registry.get("tiny-1")
    (damaged.path / "evaluation" / "metrics.json").write_text("{")
    with pytest.raises(IntegrityError, match="this is no whole release"):
        beside(tiny("training=head", "seed=1"), registry)


@pytest.mark.slow
def test_a_run_writes_the_comparison_beside_its_report_and_into_the_registry(
    tmp_path: Path, finished_run: FinishedRun, earthsnap_process: Callable[..., Said]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished_run.folder, folder)
    make_live(Registry(folder / "registry"), "plants-debug-1")

    said = earthsnap_process(*DEMO, "nodes.child.lr=0.03", cwd=folder)

    assert said.code == 0, said.err
    assert "champion plants-debug-1: top-1 " in said.out
    newest = sorted((folder / "outputs" / "plants-debug").glob("2*"))[-1]
    summary = json.loads((newest / "summary.json").read_bytes())
    assert summary["champion"]["release"] == "plants-debug-1"
    assert summary["champion"]["num_images"] == summary["family"]["num_images"]
    assert '<a href="comparison.html">plants-debug-1: top-1 ' in (newest / "report.html").read_text()
    kept = folder / "registry" / "plants-debug" / "2"
    for name in ("comparison.json", "comparison.html", "NOTES.md"):
        assert (kept / "report" / name).read_bytes() == (newest / name).read_bytes()
    assert {path.name for path in (kept / "evaluation").iterdir()} == {
        "predictions.parquet", "metrics.json", "latency_ms.json"
    }  # fmt: skip
