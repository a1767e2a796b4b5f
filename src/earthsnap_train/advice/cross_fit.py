"""Heads that are judged only on photographs they have not seen: one for each fold, taught on all other folds.

Shapes: N photographs, C classes of one head.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from earthsnap_train.advice.material import Material
from earthsnap_train.models.calibration import fit_temperature
from earthsnap_train.models.family import Floats
from earthsnap_train.training.cascade import Solved, Targets, solve_node
from earthsnap_train.training.logistic import Head, Lesson


def cross_fit(
    material: Material, class_of: Mapping[str, str], lesson: Lesson, *, targets: Targets = "species", workers: int = 1
) -> tuple[Solved, ...]:
    """The head of each fold, for the species of ``class_of``.

    A head's temperature is fitted on what the other folds' heads make of photographs new to them, so that neither its
    weights nor its temperature have seen what it will be asked.
    """
    own_N = np.isin(material.labelled, list(class_of))

    def taught(fold: int) -> Solved:
        shown = material.shown(own_N & (material.fold_N != fold))
        if len(shown) == 0:
            return _ignorant(class_of, material.features_NF.shape[1], targets)
        return solve_node(shown, class_of, lesson, targets=targets)

    with ThreadPoolExecutor(workers) as pool:  # torch computes without Python's lock
        heads = list(pool.map(taught, range(material.num_folds)))
    logits_NC = np.zeros((len(material), len(heads[0].head.classes)), dtype=np.float32)
    for fold, one in enumerate(heads):
        rows_N = own_N & (material.fold_N == fold)
        logits_NC[rows_N] = one.head.logits(material.features_NF[rows_N])
    own_labels = heads[0].labels_of(material.labelled[own_N])
    label_N = np.zeros(len(material), dtype=np.int64)
    label_N[own_N] = own_labels
    calibrated = []
    for fold, one in enumerate(heads):
        others_N = own_N & (material.fold_N != fold)
        temperature = fit_temperature(logits_NC[others_N], label_N[others_N])
        calibrated.append(Solved(targets=targets, class_of=class_of, head=one.head, temperature=temperature))
    return tuple(calibrated)


def unseen(material: Material, heads: Sequence[Solved]) -> Floats:
    """What each fold's head makes of that fold [N, C], calibrated; of photographs of any species."""
    p_NC = np.zeros((len(material), len(heads[0].head.classes)), dtype=np.float32)
    for fold, head in enumerate(heads):
        rows_N = material.fold_N == fold
        p_NC[rows_N] = head.probabilities(material.features_NF[rows_N])
    return p_NC


def _ignorant(class_of: Mapping[str, str], num_features: int, targets: Targets) -> Solved:
    """Of species whose photographs are all in one fold."""
    classes = tuple(dict.fromkeys(class_of.values()))
    weight_CF = np.zeros((len(classes), num_features), dtype=np.float32)
    head = Head(classes=classes, weight_CF=weight_CF, bias_C=np.zeros(len(classes), dtype=np.float32), of_roots=False)
    return Solved(targets=targets, class_of=class_of, head=head)
