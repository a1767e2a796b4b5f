"""What a report shows, derived from predictions, metrics and taxonomy."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from earthsnap_train.evaluation.family_panel import FamilyPanel
from earthsnap_train.evaluation.figures import FamilyMetrics, Metrics, Name
from earthsnap_train.evaluation.gates import GateResult
from earthsnap_train.evaluation.pictures import Album, ReadPhoto
from earthsnap_train.evaluation.predictions import FamilyPredictions
from earthsnap_train.evaluation.report import (
    ConfusedPair,
    CoverPhoto,
    CurvePoint,
    DatasetPanel,
    LookAlike,
    Mistake,
    NodeRow,
    ReportData,
    SpeciesRow,
    SplitCounts,
    StageRow,
    Taxon,
    Variation,
)
from earthsnap_train.spec.architecture import ArchitectureKind
from earthsnap_train.taxonomy.tree import Species, Taxonomy

NUM_MISTAKES = 18
NUM_PAIRS = 8
NUM_COVER = 9
NUM_MISTAKEN = 4
BUDGET_BYTES = 2_000_000

Portraits = Mapping[str, str]
"""species id -> uri of a photograph that shows the species well."""


def build_report(
    *,
    family: str,
    run: str,
    release: str,
    date: str,
    architecture: ArchitectureKind,
    build: FamilyPanel | None,
    fit_on: Literal["train", "train_val", "full"],
    next_command: str,
    predictions: FamilyPredictions,
    metrics: FamilyMetrics,
    gates: Sequence[GateResult],
    taxonomy: Taxonomy,
    group_of: Mapping[str, str],
    counts: Mapping[str, SplitCounts],
    nodes: Sequence[NodeRow],
    ablation: Sequence[Variation],
    dataset: DatasetPanel,
    lineage: Sequence[StageRow],
    read_photo: ReadPhoto,
) -> ReportData:
    """``group_of``: species id -> group. ``counts``: species id -> photographs per split (see ``split_counts``)."""
    album = Album(read_photo, budget_bytes=BUDGET_BYTES)
    names = {one.species_id: _name(one) for one in taxonomy.species}
    portraits = choose_portraits(predictions)
    # The most telling pictures first: the album hands none out once the page is heavy.
    cover = choose_cover(metrics, names, group_of, portraits, album)
    mistakes = worst_mistakes(predictions, names, portraits, album)
    confused = confused_pairs(predictions, names, group_of, portraits, album)
    species = species_rows(metrics, names, group_of, counts, portraits, album)
    return ReportData(
        family=family,
        run=run,
        release=release,
        date=date,
        architecture=architecture,
        build=build,
        fit_on=fit_on,
        next_command=next_command,
        cover=cover,
        metrics=metrics,
        gates=tuple(gates),
        species=species,
        taxonomy=taxonomy_tree(species, taxonomy),
        confused=confused,
        mistakes=mistakes,
        nodes=tuple(nodes),
        ablation=tuple(ablation),
        dataset=dataset,
        lineage=tuple(lineage),
    )


def split_counts(species_ids: Iterable[str], splits: Iterable[str]) -> dict[str, SplitCounts]:
    """From the manifest's columns ``species_id`` and ``split``."""
    pairs = Counter(zip(species_ids, splits, strict=True))
    return {
        species: SplitCounts(train=pairs[species, "train"], val=pairs[species, "val"], test=pairs[species, "test"])
        for species in sorted({species for species, _ in pairs})
    }


def node_row(
    node: str,
    metrics: Metrics,
    *,
    num_species: int,
    temperature: float | None,
    seconds: float | None,
    curve: Sequence[CurvePoint],
) -> NodeRow:
    """``num_species``: how many the node was taught, with or without a test photograph."""
    return NodeRow(
        node=node,
        num_species=num_species,
        num_images=metrics.num_images,
        top1=metrics.top1,
        top5=metrics.top5,
        ece=metrics.ece,
        temperature=temperature,
        seconds=seconds,
        curve=tuple(curve),
    )


def choose_portraits(predictions: FamilyPredictions) -> Portraits:
    """The photograph of each species that was named right with the most certainty; else its first one."""
    right = predictions.predicted_species == predictions.species_id
    order = np.lexsort((predictions.image_id, -predictions.answers.confidence, ~right))
    portraits: dict[str, str] = {}
    for row in order:
        portraits.setdefault(str(predictions.species_id[row]), str(predictions.uri[row]))
    return portraits


def choose_cover(
    metrics: FamilyMetrics, names: Mapping[str, Name], group_of: Mapping[str, str], portraits: Portraits, album: Album
) -> tuple[CoverPhoto, ...]:
    """The best known species of as many groups as there is room for, the surest first."""
    best = sorted(metrics.classes, key=lambda row: (-row.recall.low, row.name))
    firsts: dict[str, str] = {}
    for row in best:
        firsts.setdefault(group_of[row.name], row.name)
    pictures = ((species, album.picture(portraits[species], 160)) for species in list(firsts.values())[:NUM_COVER])
    return tuple(CoverPhoto(name=names[species], picture=picture) for species, picture in pictures if picture)


def worst_mistakes(
    predictions: FamilyPredictions, names: Mapping[str, Name], portraits: Portraits, album: Album
) -> tuple[Mistake, ...]:
    """Confident and wrong, the most confident first; at most two of the same truth and answer."""
    wrong = np.flatnonzero(predictions.predicted_species != predictions.species_id)
    order = wrong[np.lexsort((predictions.image_id[wrong], -predictions.answers.confidence[wrong]))]
    seen: Counter[tuple[str, str]] = Counter()
    mistakes: list[Mistake] = []
    for row in order:
        truth, predicted = str(predictions.species_id[row]), str(predictions.predicted_species[row])
        seen[truth, predicted] += 1
        if seen[truth, predicted] > 2:
            continue
        uri = str(predictions.uri[row])
        inside = predictions.predicted_group[row] == predictions.group[row]
        mistakes.append(
            Mistake(
                uri=uri,
                picture=album.picture(uri, 240),
                truth=names[truth],
                predicted=names.get(predicted),
                confidence=float(predictions.answers.confidence[row]),
                cause="misnamed" if inside else "misrouted",
                portrait=album.picture(portraits[predicted], 80) if predicted in portraits else None,
            )
        )
        if len(mistakes) == NUM_MISTAKES:
            break
    return tuple(mistakes)


def confused_pairs(
    predictions: FamilyPredictions,
    names: Mapping[str, Name],
    group_of: Mapping[str, str],
    portraits: Portraits,
    album: Album,
) -> tuple[ConfusedPair, ...]:
    """The pairs most often taken for each other, counted both ways; the side more often mistaken comes first."""
    truth, predicted = predictions.species_id, predictions.predicted_species
    taken = Counter((a, b) for a, b in zip(truth.tolist(), predicted.tolist(), strict=True) if a != b and b)
    both = {(a, b): taken[a, b] + taken[b, a] for a, b in ((min(pair), max(pair)) for pair in taken)}
    ranked = sorted(both, key=lambda pair: (-both[pair], pair))[:NUM_PAIRS]

    def side(own: str, other: str) -> LookAlike:
        rows = np.flatnonzero((truth == own) & (predicted == other))
        rows = rows[np.lexsort((predictions.image_id[rows], -predictions.answers.confidence[rows]))]
        pictures = [album.picture(str(predictions.uri[row]), 96) for row in rows[:NUM_MISTAKEN]]
        return LookAlike(
            name=names[own],
            group=group_of[own],
            num_images=int((truth == own).sum()),
            num_mistaken=len(rows),
            portrait=album.picture(portraits[own], 240) if own in portraits else None,
            mistaken=tuple(picture for picture in pictures if picture),
        )

    pairs = []
    for a, b in ranked:
        first, second = (a, b) if taken[a, b] >= taken[b, a] else (b, a)
        pairs.append(ConfusedPair(first=side(first, second), second=side(second, first)))
    return tuple(pairs)


def species_rows(
    metrics: FamilyMetrics,
    names: Mapping[str, Name],
    group_of: Mapping[str, str],
    counts: Mapping[str, SplitCounts],
    portraits: Portraits,
    album: Album,
) -> tuple[SpeciesRow, ...]:
    """Every species of the grouping: the lowest recall first, those without a test photograph last."""
    measured = {row.name: row for row in metrics.classes}
    recall = {species: measured[species].recall.value if species in measured else 2.0 for species in group_of}
    none = SplitCounts(train=0, val=0, test=0)
    rows = []
    for species in sorted(group_of, key=lambda one: (recall[one], names[one].label.lower(), one)):
        own = measured.get(species)
        rows.append(
            SpeciesRow(
                name=names[species],
                group=group_of[species],
                counts=counts.get(species, none),
                recall=own.recall if own else None,
                precision=own.precision if own else None,
                confused_with=names.get(own.most_confused_with or "") if own else None,
                num_confused=own.num_confused if own else 0,
                picture=album.picture(portraits[species], 80) if species in portraits else None,
            )
        )
    return tuple(rows)


def taxonomy_tree(species: Sequence[SpeciesRow], taxonomy: Taxonomy) -> tuple[Taxon, ...]:
    """The species nested under their ranks, by name at each; without any rank, under their groups."""
    rows = {row.name.species_id: row for row in species}
    if taxonomy.ranks:
        paths = {key: tuple((rank, taxonomy.get(key).taxon(rank)) for rank in taxonomy.ranks) for key in rows}
    else:
        paths = {key: (("group", row.group),) for key, row in rows.items()}
    return _nested(sorted(rows), 0, paths, rows)


_Paths = Mapping[str, tuple[tuple[str, str | None], ...]]


def _nested(keys: Sequence[str], depth: int, paths: _Paths, rows: Mapping[str, SpeciesRow]) -> tuple[Taxon, ...]:
    if depth == len(paths[keys[0]]):
        return tuple(_leaf(rows[key]) for key in sorted(keys, key=lambda key: rows[key].name.scientific.lower()))
    members: dict[str | None, list[str]] = {}
    for key in keys:
        members.setdefault(paths[key][depth][1], []).append(key)
    taxa: list[Taxon] = []
    for label in sorted(members, key=lambda label: (label is None, label or "")):
        below = _nested(members[label], depth + 1, paths, rows)
        if label is None:
            taxa += below  # a rank that is not known is skipped, not invented
            continue
        known = [rows[key].recall for key in members[label]]
        values = [recall.value for recall in known if recall is not None]
        taxa.append(
            Taxon(
                rank=paths[members[label][0]][depth][0],
                label=label,
                species_id=None,
                num_species=len(members[label]),
                recall=sum(values) / len(values) if values else None,
                below=below,
            )
        )
    return tuple(taxa)


def _leaf(row: SpeciesRow) -> Taxon:
    return Taxon(
        rank="species",
        label=row.name.scientific,
        species_id=row.name.species_id,
        num_species=1,
        recall=row.recall.value if row.recall else None,
        below=(),
    )


def _name(species: Species) -> Name:
    return Name(species_id=species.species_id, scientific=species.scientific_name, common=species.common_name)
