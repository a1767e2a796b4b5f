"""What a family made with a grouping would be worth, on photographs that none of its heads has seen.

Shapes: N photographs, G groups.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.advice.material import Material
from earthsnap_train.advice.proposals import Groups
from earthsnap_train.spec.architecture import Routing
from earthsnap_train.training.cascade import Cascade, Solved

Bools = NDArray[np.bool_]
OfSpecies = Callable[[tuple[str, ...]], Sequence[Solved]]
"""Species -> the heads that tell them apart, one for each fold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Worth:
    """``is_right_N``: the species is named. ``is_routed_N``: its group comes first. ``would_be_right_N``: its group's own
    child names it. ``multiply_adds``: of the heads, the mean over photographs."""

    is_right_N: Bools
    is_routed_N: Bools
    would_be_right_N: Bools
    multiply_adds: float


def worth(material: Material, groups: Groups, parents: Sequence[Solved], heads: OfSpecies, routing: Routing) -> Worth:
    """Each fold's photographs go through that fold's parent and children, by the very routing of serving."""
    children = {group: heads(members) for group, members in groups.items() if len(members) > 1}
    group_of = {species: group for group, members in groups.items() for species in members}
    group_N = np.asarray([group_of[species] for species in material.labelled.tolist()], dtype=np.str_)
    is_right_N, is_routed_N, would_be_right_N = (np.zeros(len(material), dtype=np.bool_) for _ in range(3))
    asked = 0.0
    for fold, parent in enumerate(parents):
        cascade = Cascade(
            parent=parent,
            children={group: solved[fold] for group, solved in children.items()},
            groups=groups,
            routing=routing,
        )
        rows_N = np.flatnonzero(material.fold_N == fold)
        features_NF, truth_N = material.features_NF[rows_N], material.labelled[rows_N]
        answer, family = cascade.answer(features_NF), cascade.family()
        is_right_N[rows_N] = np.asarray(family.species)[answer.species_BS.argmax(axis=1)] == truth_N
        is_routed_N[rows_N] = np.asarray(family.groups)[answer.groups_BG.argmax(axis=1)] == group_N[rows_N]
        sizes_G = [cascade.children[g].head.weight_CF.size if g in children else 0 for g in family.groups]
        asked += float((family.children_to_run(answer.groups_BG) @ np.asarray(sizes_G)).sum())
        would_be_right_N[rows_N] = [
            len(groups[group]) == 1 or named == truth
            for group, named, truth in zip(
                group_N[rows_N], _by_own_child(cascade, features_NF, group_N[rows_N]), truth_N, strict=True
            )
        ]
    return Worth(
        is_right_N=is_right_N,
        is_routed_N=is_routed_N,
        would_be_right_N=would_be_right_N,
        multiply_adds=parents[0].head.weight_CF.size + asked / len(material),
    )


def _by_own_child(cascade: Cascade, features_NF: NDArray[np.float32], group_N: NDArray[np.str_]) -> NDArray[np.str_]:
    """What the child of each photograph's true group calls it; "" where a group has none."""
    named_N = np.zeros(len(group_N), dtype="<U200")
    for group, child in cascade.children.items():
        rows_N = np.flatnonzero(group_N == group)
        if len(rows_N):
            logits_NC = child.head.logits(features_NF[rows_N])
            named_N[rows_N] = np.asarray(child.head.classes)[logits_NC.argmax(axis=1)]
    return named_N


def child_share(groups: Mapping[str, Sequence[str]], images_of: Mapping[str, int]) -> float:
    """Of all species, those that a photograph's child must tell apart, the mean over photographs.

    It is also the share of photographs from which a child is taught again when one of its species changes, the mean over
    species: both sum up the product of a group's species and its photographs.
    """
    of_groups = sum(len(members) * sum(images_of[one] for one in members) for members in groups.values())
    return of_groups / sum(images_of.values()) / len(images_of)
