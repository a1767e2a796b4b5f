"""A small family's report, made up of noise and seeds."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from earthsnap_train.evaluation.answering import judge_answers
from earthsnap_train.evaluation.family_metrics import family_metrics
from earthsnap_train.evaluation.family_panel import FamilyPanel
from earthsnap_train.evaluation.figures import Calibration, Cost, Threshold, figures
from earthsnap_train.evaluation.gates import judge
from earthsnap_train.evaluation.metrics import node_metrics
from earthsnap_train.evaluation.predictions import Answers, FamilyPredictions, NodePredictions
from earthsnap_train.evaluation.report import CurvePoint, DatasetPanel, FindingCount, ReportData, SplitCounts, StageRow
from earthsnap_train.evaluation.report_rows import build_report, node_row, split_counts
from earthsnap_train.spec.architecture import Routing
from earthsnap_train.spec.evaluation import Gate
from earthsnap_train.taxonomy.tree import Species, Taxonomy

PROMISED = Calibration(
    unsure_below=0.6,
    outcome="promised",
    num_needed=None,
    curve=(),
    accuracy=0.95,
    delta=0.05,
    num_images=400,
    num_clusters=380,
    species_alone=Threshold(unsure_below=0.7, outcome="promised", num_needed=None, curve=()),
)
BUILD = FamilyPanel(
    architecture="parent_child",
    targets="species",
    chosen_among=(),
    routing=Routing(kind="soft", top_k=3, mass=0.98, parent_weight=0.5),
    trunk_is_taught=False,
)
MakeReport = Callable[..., ReportData]


@pytest.fixture
def make_report() -> MakeReport:
    """See ``report`` for what can be chosen; any field of ReportData can be given too, and replaces what was made."""
    return report


@pytest.fixture
def noisy_photo() -> Callable[..., bytes]:
    return photo


def photo(uri: str, px: int = 96) -> bytes:
    """A noisy picture, as hard to compress as a photograph can be."""
    noise = np.random.default_rng(list(uri.encode())).integers(0, 256, (px, px, 3), dtype=np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(noise).save(encoded, "JPEG", quality=85)
    return encoded.getvalue()


def flora(num_groups: int, per_group: int, *, with_ranks: bool = True) -> tuple[Taxonomy, dict[str, str]]:
    group_of = {f"g{g:02d}-s{s:02d}": f"group{g:02d}" for g in range(num_groups) for s in range(per_group)}
    species = tuple(
        Species(
            species_id=name,
            scientific_name=f"Planta {name}",
            common_name=None if name.endswith("1") else f"flower {name}",
            ranks=(("order", f"Ordo{name[1:3]}"), ("genus", f"Genus{name[1:4]}{int(name[-2:]) // 2}"))
            if with_ranks
            else (),
        )
        for name in sorted(group_of)
    )
    return Taxonomy(ranks=("order", "genus") if with_ranks else (), species=species), group_of


def report(
    *,
    num_groups: int = 3,
    per_group: int = 4,
    with_flat: bool = True,
    with_ranks: bool = True,
    gates: dict[str, Gate] | None = None,
    untested: int = 0,
    photo_px: int = 96,
    has_photos: bool = True,
    calibration: Calibration = PROMISED,
    **changes: object,
) -> ReportData:
    taxonomy, group_of = flora(num_groups, per_group, with_ranks=with_ranks)
    classes = sorted(group_of)
    truth = np.repeat(np.array(classes[untested:]), 6)
    generator = np.random.default_rng(0)
    scores = generator.dirichlet(np.full(len(classes), 0.2), len(truth))
    scores[np.arange(len(truth)), [classes.index(name) for name in truth]] += 0.4
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    answers = Answers.from_probabilities(classes, probabilities)
    ids = np.array([f"{number:05d}" for number in range(len(truth))])
    uris = np.array([f"{group_of[name]}/{name}/{number}.jpg" for name, number in zip(truth, ids, strict=True)])
    groups = np.array([group_of[name] for name in answers.first])
    predictions = FamilyPredictions(
        image_id=ids,
        uri=uris,
        cluster_id=ids,
        species_id=truth,
        group=np.array([group_of[name] for name in truth]),
        predicted_group=groups,
        answers=answers,
        routed_group=groups,
        routed_probability=np.full(len(truth), 0.9),
        oracle_species=truth,
        num_children_run=np.ones(len(truth), dtype=np.int32),
        flat=Answers.from_probabilities(classes, probabilities[::-1]) if with_flat else None,
    )
    answering = judge_answers(predictions, probabilities.astype(np.float32), classes, taxonomy, calibration)
    metrics = family_metrics(
        predictions, taxonomy, group_of, cost=Cost(multiply_adds=4e8, latency_ms=20.0), answering=answering
    )
    alone = node_metrics(NodePredictions(image_id=ids, uri=uris, truth=truth, answers=answers))
    curve = [CurvePoint(step=step, train_loss=2 / step, val_loss=None, val_top1=1 - 1 / step) for step in (1, 2, 5)]
    nodes = [
        node_row("parent", alone, num_species=len(classes), temperature=1.2, seconds=70.0, curve=curve),
        *(
            node_row(f"child/{group}", alone, num_species=per_group, temperature=None, seconds=None, curve=())
            for group in sorted(set(group_of.values()))
        ),
    ]
    data = build_report(
        family="plants",
        run="quiet-fern",
        release="plants-3",
        date="22 November 2026",
        architecture="parent_child",
        build=BUILD,
        fit_on="train",
        next_command="earthsnap approve plants-3",
        predictions=predictions,
        metrics=metrics,
        gates=judge(figures(metrics, {}), gates or {}),
        taxonomy=taxonomy,
        group_of=group_of,
        counts=split_counts(np.repeat(truth, 2).tolist(), ["train", "test"] * len(truth)),
        nodes=nodes,
        ablation=(),
        dataset=DatasetPanel(
            version="9f2c41d8a7be03c5",
            num_species=len(classes),
            num_groups=num_groups,
            counts=SplitCounts(train=len(truth), val=0, test=len(truth)),
            num_quarantined=1,
            findings=(FindingCount(code="near_duplicate", severity="info", action="drop_one", count=2),),
        ),
        lineage=[StageRow(name="ingest", key="0123456789abcdef", seconds=3.0, cached=False)],
        read_photo=lambda uri: photo(uri, photo_px) if has_photos else None,
    )
    return data.model_copy(update=changes)
