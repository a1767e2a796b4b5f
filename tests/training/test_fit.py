"""The fit itself: its schedule, its averages, its stopping, and the same on several processes."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch import Tensor, nn

from earthsnap_train.context import Resources, Silence
from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.training import Teaching
from earthsnap_train.training.classifier import Classifier, share_of_lr
from earthsnap_train.training.curves import Curves
from earthsnap_train.training.fit import fit
from earthsnap_train.training.head import FeatureFeed

NUM_FEATURES, NUM_CLASSES = 6, 3


def teaching(**changes: Any) -> Teaching:
    settings: dict[str, Any] = {
        "method": "head", "num_epochs": 4, "batch_size": 8, "lr": 0.05, "weight_decay": 0.0, "warmup_fraction": 0.1,
        "label_smoothing": 0.0, "imbalance": "none", "ema_decay": None, "early_stopping_patience": None,
        "precision": "32", "head_first": None, "augmentation": None,
        "label_smoothing_by": "class", "rank_weight": 0.0,
    }  # fmt: skip
    return Teaching.model_validate(settings | changes)


def examples(num_images: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = np.random.default_rng(seed)
    labels_N = generator.integers(0, NUM_CLASSES, size=num_images)
    centres_CF = np.random.default_rng(9).normal(size=(NUM_CLASSES, NUM_FEATURES))
    inputs_NF = centres_CF[labels_N] + generator.normal(0, 1.0, size=(num_images, NUM_FEATURES))
    return torch.from_numpy(inputs_NF.astype(np.float32)), torch.from_numpy(labels_N)


def feed_of(settings: Teaching, *, num_watched: int = 13) -> FeatureFeed:
    return FeatureFeed(training=settings, seed=0, taught=examples(37, seed=1), watched=examples(num_watched, seed=2))


def classifier_of(settings: Teaching, network: nn.Module | None = None) -> Classifier:
    if network is None:
        network = nn.Linear(NUM_FEATURES, NUM_CLASSES)
        nn.init.zeros_(network.weight)
        nn.init.zeros_(network.bias)
    return Classifier(network, settings=settings, num_steps=settings.num_epochs * 5, seed=0)


class Heard(Silence):
    """Remembers what was measured."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def measure(self, step: int, values: Any) -> None:
        self.rows.append({"step": step, **values})

    def validations(self) -> list[dict[str, float]]:
        return [row for row in self.rows if "val_loss" in row]


class Watching(Silence):
    """Calls ``look`` after every step."""

    def __init__(self, look: Any) -> None:
        self._look = look

    def progress(self, done: int, total: int, unit: str) -> None:
        self._look(done)


def taught(scratch: Path, settings: Teaching, **changes: Any) -> tuple[Classifier, int, Heard]:
    classifier = changes.pop("classifier", None) or classifier_of(settings)
    scratch.mkdir(exist_ok=True)
    heard = Heard()
    given: dict[str, Any] = {"resources": Resources(), "events": heard, "feed": feed_of(settings)} | changes
    step = fit(classifier, given.pop("feed"), scratch=scratch, **given)
    return classifier, step, heard


def weights(classifier: Classifier) -> Tensor:
    return torch.cat([p.detach().flatten() for p in classifier.network.parameters()])


def test_the_learning_rate_warms_up_then_falls_along_a_cosine() -> None:
    shares = [share_of_lr(0.1, 100, step) for step in range(101)]
    assert shares[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert shares[10] == 1.0
    assert shares[55] == pytest.approx(0.5)
    assert shares[100] == pytest.approx(0.0)
    assert shares[10:] == sorted(shares[10:], reverse=True)


def test_the_optimiser_follows_that_schedule(tmp_path: Path) -> None:
    settings = teaching()
    classifier = classifier_of(settings)
    seen: list[float] = []
    look = Watching(lambda done: seen.append(classifier.trainer.optimizers[0].param_groups[0]["lr"]))
    taught(tmp_path, settings, classifier=classifier, events=look)
    assert seen == pytest.approx([0.05 * share_of_lr(0.1, 20, step) for step in range(1, 21)])


def test_every_epoch_is_validated_at_its_last_step(tmp_path: Path) -> None:
    _, step, heard = taught(tmp_path, teaching())
    assert step == 20
    assert [row["step"] for row in heard.validations()] == [5, 10, 15, 20]
    assert heard.validations()[-1]["val_loss"] < heard.validations()[0]["val_loss"] < np.log(NUM_CLASSES)


def test_early_stopping_gives_back_the_weights_of_the_best_epoch(tmp_path: Path) -> None:
    settings = teaching(early_stopping_patience=2, num_epochs=40, lr=1.0)
    classifier, step, heard = taught(tmp_path / "a", settings)
    rows = heard.validations()
    losses = [row["val_loss"] for row in rows]
    best = int(np.argmin(losses))
    assert step == rows[best]["step"]
    assert len(losses) == best + 3 < 40
    inputs_NF, labels_N = examples(13, seed=2)
    with torch.inference_mode():
        assert nn.functional.cross_entropy(classifier.network(inputs_NF), labels_N).item() == pytest.approx(
            losses[best]
        )
    until_then, _, _ = taught(
        tmp_path / "b", settings.model_copy(update={"early_stopping_patience": None}), stop_at=step
    )
    assert torch.equal(weights(until_then), weights(classifier))


def test_with_nothing_to_watch_early_stopping_never_stops(tmp_path: Path) -> None:
    settings = teaching(early_stopping_patience=1)
    _, step, heard = taught(tmp_path, settings, feed=feed_of(settings, num_watched=0))
    assert step == 20
    assert heard.validations() == []


def test_the_average_of_the_weights_is_what_is_validated_and_kept(tmp_path: Path) -> None:
    settings = teaching(ema_decay=0.8)
    classifier = classifier_of(settings)
    passed: list[Tensor] = []
    taught(tmp_path, settings, classifier=classifier, events=Watching(lambda done: passed.append(weights(classifier))))
    expected = passed[0]
    for number, now in enumerate(passed[1:], start=1):
        decay = min(0.8, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * now
    assert torch.allclose(weights(classifier), expected, atol=1e-6)
    assert not torch.allclose(weights(classifier), passed[-1], atol=1e-3)


def test_averages_and_early_stopping_together_keep_the_best_average(tmp_path: Path) -> None:
    settings = teaching(ema_decay=0.8, early_stopping_patience=2, num_epochs=40, lr=1.0)
    classifier, _, heard = taught(tmp_path, settings)
    inputs_NF, labels_N = examples(13, seed=2)
    with torch.inference_mode():
        loss = nn.functional.cross_entropy(classifier.network(inputs_NF), labels_N).item()
    assert loss == pytest.approx(min(row["val_loss"] for row in heard.validations()))


def test_label_smoothing_leaves_doubt(tmp_path: Path) -> None:
    plain, _, _ = taught(tmp_path / "a", teaching(num_epochs=40))
    smooth, _, _ = taught(tmp_path / "b", teaching(num_epochs=40, label_smoothing=0.3))
    assert weights(smooth).norm() < 0.8 * weights(plain).norm()


def test_weight_decay_leaves_biases_alone() -> None:
    classifier = classifier_of(teaching(weight_decay=0.1))
    decayed, others = classifier.configure_optimizers()["optimizer"].param_groups
    assert ([p.ndim for p in decayed["params"]], [p.ndim for p in others["params"]]) == ([2], [1])
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)


class Stopped(Exception):
    pass


def test_random_choices_within_the_network_go_on_as_they_would_have(tmp_path: Path) -> None:
    def network() -> nn.Module:
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(NUM_FEATURES, 8), nn.Dropout(0.5), nn.Linear(8, NUM_CLASSES))

    def stop(done: int) -> None:
        torch.rand(5)  # someone else draws
        if done == 7:
            raise Stopped

    settings = teaching()
    whole, _, _ = taught(tmp_path / "whole", settings, classifier=classifier_of(settings, network()))
    often = Resources(checkpoint_every_s=0.0)
    with pytest.raises(Stopped):
        taught(
            tmp_path / "stopped",
            settings,
            classifier=classifier_of(settings, network()),
            resources=often,
            events=Watching(stop),
        )
    resumed, _, _ = taught(tmp_path / "stopped", settings, classifier=classifier_of(settings, network()))
    assert torch.equal(weights(resumed), weights(whole))


@pytest.mark.slow
def test_two_processes_come_to_nearly_the_same_weights_as_one(tmp_path: Path) -> None:
    settings = teaching(ema_decay=0.8, early_stopping_patience=2, num_epochs=8, lr=1.0)
    feed = feed_of(settings)
    alone, step_alone, heard = taught(tmp_path / "alone", settings, feed=feed)
    curves = Curves(tmp_path / "curves.jsonl", Silence())
    together, step, _ = taught(
        tmp_path / "together", settings, feed=feed, resources=Resources(devices=(0, 1)), events=curves
    )
    assert step == step_alone
    assert torch.allclose(weights(together), weights(alone), atol=1e-4)
    validations = [row for row in curves.read() if "val_loss" in row]
    assert [row["step"] for row in validations] == [row["step"] for row in heard.validations()]
    assert [r["val_loss"] for r in validations] == pytest.approx([r["val_loss"] for r in heard.validations()], abs=1e-3)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_the_processes_of_a_fit_end_with_it_even_when_it_is_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    fitting = subprocess.Popen([sys.executable, __file__, str(tmp_path)], env=environment, stderr=subprocess.DEVNULL)
    while not (tmp_path / "curves.jsonl").exists():
        assert fitting.poll() is None
        time.sleep(0.1)
    ranks = psutil.Process(fitting.pid).children(recursive=True)
    assert len(ranks) >= 2
    fitting.kill()
    fitting.wait()
    _, alive = psutil.wait_procs(ranks, timeout=60)
    for left_over in alive:
        left_over.kill()
    assert alive == []


def test_a_batch_that_devices_cannot_share_is_refused_before_any_starts(tmp_path: Path) -> None:
    settings = teaching(batch_size=7)
    with pytest.raises(ConfigError, match=r"training\.batch_size: a batch of 7 cannot be divided among 2 devices"):
        taught(tmp_path, settings, resources=Resources(devices=(0, 1)))


def test_sixteen_bits_without_a_gpu_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.precision: 16-bit floats train on a GPU alone"):
        taught(tmp_path, teaching(precision="16"))


def test_mixed_precision_on_a_cpu_still_learns(tmp_path: Path) -> None:
    _, _, heard = taught(tmp_path, teaching(precision="bf16"))
    assert heard.validations()[-1]["val_top1"] > 0.6


def test_curves_count_on_from_phase_to_phase(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "curves.jsonl", Silence())
    curves.measure(5, {"val_loss": 2.0})
    curves.after(5).measure(1, {"loss": 1.0})
    curves.after(5).measure(1, {"val_loss": 0.5})
    assert curves.read() == [{"step": 5, "val_loss": 2.0}, {"step": 6, "loss": 1.0, "val_loss": 0.5}]
    assert json.loads((tmp_path / "curves.jsonl").read_text().splitlines()[0]) == {"step": 5, "val_loss": 2.0}


def _fit_for_long(folder: Path) -> None:
    settings = teaching(num_epochs=100_000)
    curves = Curves(folder / "curves.jsonl", Silence())
    taught(folder / "scratch", settings, resources=Resources(devices=(0, 1)), events=curves)


if __name__ == "__main__":
    _fit_for_long(Path(sys.argv[1]))
