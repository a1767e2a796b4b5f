"""A small family run to tell of, and a place where nobody has a key to W&B."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from earthsnap_train.tracking.port import (
    Asset,
    Confusion,
    Gallery,
    Picture,
    Table,
    TrackedFamily,
    TrackedRun,
)

CONFIG = {"seed": 3, "training": {"lr": 0.5}}
SPECIES = Table(
    name="species",
    columns=("species_id", "recall", "most_confused_with"),
    rows=[("rosa-canina", 0.5, "rosa rugosa; or none"), ("rosa-rugosa", None, None)],
)


def picture(colour: tuple[int, int, int]) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (24, 16), colour).save(encoded, "WEBP")
    return encoded.getvalue()


@pytest.fixture
def told(tmp_path: Path) -> TrackedFamily:
    (tmp_path / "manifest.json").write_text('{"num_images": 9}')
    (tmp_path / "release.json").write_text('{"family": "plants"}')
    (tmp_path / "parent.onnx").write_bytes(b"network")
    prepare = TrackedRun(
        name="prepare",
        job_type="prepare",
        summary={"num_images": 9},
        makes=[
            Asset(
                name="plants-dataset",
                kind="dataset",
                version="d4ed00e3c324",
                facts={"num_images": 9},
                files={"manifest.json": tmp_path / "manifest.json"},
            )
        ],
    )
    train = TrackedRun(
        name="train/child/rosaceae",
        job_type="train-child",
        rows=[(5, {"loss": 1.5, "lr": 0.1}), (5, {"val_loss": 1.25}), (10, {"loss": 1.0})],
        machine=[(1, {"cpu_percent": 50.0}), (3, {"cpu_percent": 75.0, "gpu0_percent": 9.0})],
        summary={"test_top1": 0.75},
        uses=["plants-dataset:d4ed00e3c324"],
    )
    evaluate = TrackedRun(
        name="evaluate",
        job_type="evaluate",
        summary={"top1": 0.5},
        tables=[SPECIES],
        galleries=[
            Gallery(
                name="mistakes",
                pictures=[
                    Picture(image=picture((200, 0, 0)), caption="Rosa canina, named Rosa rugosa with 97.0%"),
                    Picture(image=picture((0, 0, 200)), caption="Rosa rugosa, not named with 51.0%"),
                ],
            )
        ],
        confusion=Confusion(title="Groups", names=["a", "b"], pairs=[("a", "a"), ("a", "b"), ("b", "b"), ("a", "b")]),
        uses=["plants-dataset:d4ed00e3c324"],
        makes=[
            Asset(
                name="plants-release",
                kind="model",
                version="plants-1",
                facts={"state": "PendingApproval"},
                files={"release.json": tmp_path / "release.json"},
                networks={"nodes/parent.onnx": tmp_path / "parent.onnx"},
            )
        ],
    )
    return TrackedFamily(
        family="plants", run="2026-11-22_10-00-00", sweep=None, config=CONFIG, runs=[prepare, train, evaluate]
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a run."""
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    # What telling sets for itself is gone afterwards.
    monkeypatch.setenv("WANDB_DATA_DIR", "")
    monkeypatch.setenv("WANDB_SILENT", "")
