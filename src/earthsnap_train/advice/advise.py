"""Stage ``advise``: which groupings are worth a try, which labels are doubtful, which species are too few or too alike.

Writes ``advice.json``, an ``Advice``. All is estimated on train and val, each photograph by heads that have not seen it;
test is never opened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from earthsnap_train.advice.cross_fit import cross_fit, unseen
from earthsnap_train.advice.figures import Advice, GroupingFigures, Suspect
from earthsnap_train.advice.material import Material
from earthsnap_train.advice.mislabelled import doubts
from earthsnap_train.advice.pairs import hardest_pairs
from earthsnap_train.advice.pictured import pictured
from earthsnap_train.advice.proposals import Limits, Proposal, confusion, propose
from earthsnap_train.advice.scarce import species_figures
from earthsnap_train.advice.worth import Bools, Worth, child_share, worth
from earthsnap_train.context import Context
from earthsnap_train.data.examples import Examples
from earthsnap_train.data.manifest import MANIFEST_FILE, TAXONOMY_FILE, read_manifest
from earthsnap_train.errors import DataError
from earthsnap_train.evaluation.figures import Estimate, Name
from earthsnap_train.evaluation.intervals import bootstrap, mean_of, share
from earthsnap_train.evaluation.pictures import photo_reader
from earthsnap_train.models.embeddings import Embeddings
from earthsnap_train.models.family import Floats
from earthsnap_train.spec.architecture import Routing
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.taxonomy.tree import Taxonomy
from earthsnap_train.training.cascade import Solved, Targets, class_of_parent
from earthsnap_train.training.logistic import Lesson

LEARNT_FROM = ("train", "val")


class Settings(SpecModel):
    """``groups``: as declared, group -> its species. ``targets``: what parents are taught. ``num_looks``: at a photograph
    that is served; 2 looks at its mirror image too."""

    family: str
    groups: dict[str, list[str]]
    num_looks: int
    targets: Targets
    species_per_cluster: int
    routing: Routing
    lesson: Lesson
    limits: Limits
    num_folds: int
    seed: int


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    s = Settings.model_validate(settings)
    torch.set_num_threads(context.resources.threads)
    manifest = inputs["manifest"]
    material = _material(s, inputs)
    uri_of = {row.image_id: row.uri for row in read_manifest(manifest / MANIFEST_FILE)}
    uris = [uri_of[one] for one in material.image_ids]
    advice = advise(s, material, uris, Taxonomy.read(manifest / TAXONOMY_FILE), context)
    advice = pictured(advice, photo_reader(manifest, inputs["photographs"]))
    (out / "advice.json").write_text(advice.model_dump_json(indent=1))


def advise(s: Settings, material: Material, uris: Sequence[str], taxonomy: Taxonomy, context: Context) -> Advice:
    """Without pictures. ``uris``: of the photographs, for people."""
    names = {
        one.species_id: Name(species_id=one.species_id, scientific=one.scientific_name, common=one.common_name)
        for one in taxonomy.species
    }

    @cache
    def heads(species: tuple[str, ...]) -> Sequence[Solved]:
        return cross_fit(material, {one: one for one in species}, s.lesson, workers=context.resources.workers)

    flat = heads(material.species)
    flat_NS = unseen(material, flat)
    is_right_N: Bools = flat_NS.argmax(axis=1) == material.label_N
    present = set(material.species)
    declared = {species: group for group, members in s.groups.items() for species in members if species in present}
    taxonomy = replace(taxonomy, species=tuple(one for one in taxonomy.species if one.species_id in present))
    proposals, notes = propose(material, taxonomy, declared, flat_NS, s.limits, seed=s.seed)
    worths: list[Worth] = []
    for one in proposals:
        context.events.progress(len(worths), len(proposals), "groupings")
        parents = _parents(s, material, one, flat, workers=context.resources.workers)
        worths.append(worth(material, one.groups, parents, heads, s.routing))
    context.events.progress(len(worths), len(proposals), "groupings")
    return Advice(
        family=s.family,
        num_images=len(material),
        num_species=len(material.species),
        num_folds=material.num_folds,
        flat=share(is_right_N, material.cluster_N),
        flat_multiply_adds=flat[0].head.weight_CF.size,
        groupings=_figures(material, proposals, worths, is_right_N),
        notes=tuple(notes),
        suspects=_suspects(material, flat_NS, names, uris),
        species=tuple(species_figures(material, flat_NS, names, uris)),
        pairs=tuple(hardest_pairs(material, confusion(material, flat_NS), heads, names)),
    )


def _material(s: Settings, inputs: Mapping[str, Path]) -> Material:
    """One look at each photograph, as it is served."""
    examples = [Examples.read(inputs[f"examples/{group}"]).of(*LEARNT_FROM) for group in s.groups]
    image_ids = list(chain.from_iterable(one.image_ids for one in examples))
    # Of a photograph that is stored and original, the stored one: heads are taught on those.
    seen = Embeddings({"": inputs["originals"], **{group: inputs[f"embed/{group}"] for group in s.groups}})
    looks = [seen.of([image_id])[0] for image_id in image_ids]
    features_NF = np.stack([one if one.ndim == 1 else one[: s.num_looks].mean(axis=0) for one in looks])
    return Material.of(
        image_ids,
        list(chain.from_iterable(one.species_ids for one in examples)),
        list(chain.from_iterable(one.cluster_ids for one in examples)),
        features_NF,
        num_folds=s.num_folds,
        seed=s.seed,
    )


def _parents(
    s: Settings, material: Material, proposal: Proposal, flat: Sequence[Solved], *, workers: int
) -> Sequence[Solved]:
    """One for each fold. Taught species, it is the flat head."""
    if s.targets == "species":
        return flat
    everything = material.shown(np.ones(len(material), dtype=np.bool_))
    class_of = class_of_parent(s.targets, everything, proposal.groups, species_per_cluster=s.species_per_cluster)
    return cross_fit(material, class_of, s.lesson, targets=s.targets, workers=workers)


def _figures(
    material: Material, proposals: Sequence[Proposal], worths: Sequence[Worth], flat_is_right_N: Bools
) -> tuple[GroupingFigures, ...]:
    """The most right first. The best is recommended of those that are not shown to be less right than the most right."""
    images_of = {name: int(count) for name, count in zip(material.species, np.bincount(material.label_N), strict=True)}
    found = [
        GroupingFigures(
            name=one.name,
            made_by=one.made_by,
            rank=one.rank,
            groups=dict(one.groups),
            is_declared=one.is_declared,
            top1=share(found.is_right_N, material.cluster_N),
            minus_flat=_difference(material, found.is_right_N, flat_is_right_N),
            routing=share(found.is_routed_N, material.cluster_N),
            ceiling=share(found.would_be_right_N, material.cluster_N),
            multiply_adds=round(found.multiply_adds),
            child_share=child_share(one.groups, images_of),
            stability=one.stability,
        )
        for one, found in zip(proposals, worths, strict=True)
    ]
    if not worths:
        raise DataError(
            "no grouping can be proposed: whatever divides these species leaves one group of everything, which is a flat head",
            where="min_species",
            remedy="min_species=1, or more species",
        )
    most_right = max(worths, key=lambda one: int(one.is_right_N.sum()))
    as_good = [
        figures
        for figures, found in zip(found, worths, strict=True)
        if _difference(material, found.is_right_N, most_right.is_right_N).high >= 0
    ]
    best = recommended(as_good)
    marked = [one.model_copy(update={"is_best": one is best}) for one in found]
    return tuple(sorted(marked, key=lambda one: (-one.top1.value, one.child_share, one.name)))


def recommended(as_good: Sequence[GroupingFigures]) -> GroupingFigures:
    """The most stable, and of equally stable ones the cheapest to change."""
    return min(as_good, key=lambda one: (-round(one.stability, 1), one.child_share, one.name))


def _difference(material: Material, is_right_N: Bools, other_N: Bools) -> Estimate:
    """Of two top-1s on the same photographs."""
    return bootstrap(mean_of(is_right_N.astype(np.float64) - other_N), material.cluster_N)


def _suspects(material: Material, p_NS: Floats, names: Mapping[str, Name], uris: Sequence[str]) -> tuple[Suspect, ...]:
    return tuple(
        Suspect(
            image_id=material.image_ids[one.row],
            uri=uris[one.row],
            labelled=names[material.species[material.label_N[one.row]]],
            suggested=names[material.species[one.suggested]],
            confidence=one.confidence,
            margin=one.margin,
        )
        for one in doubts(material, p_NS)
    )
