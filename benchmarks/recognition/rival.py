"""hiclass' LocalClassifierPerParentNode over (group, species) with scikit-learn's logistic regression.

It routes hard: the group that its root names, then a species of it.
"""

from typing import Any, Self

import numpy as np
from folds import Fold
from hiclass import LocalClassifierPerParentNode
from methods import DECLARED, Said
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from earthsnap_train.models.family import Floats
from earthsnap_train.training.cascade import Shown
from earthsnap_train.training.logistic import SMALLEST_SCALE


class PerPhotograph(LogisticRegression):
    """Regularised as our heads are, by the mean loss and not by its sum: a node with few photographs is no freer."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        self.C = 1 / (DECLARED.heads.weight_decay * len(X))
        return super().fit(X, y, sample_weight)


def local_classifiers(fold: Fold, taught: Shown, val: Shown, test: Shown) -> Said:
    """Every view of ``taught`` is learnt from; of ``val`` and ``test`` the first is asked. Nothing is calibrated."""
    num_views = taught.features_NVF.shape[1]
    mean_F, scale = taught.as_served.mean(axis=0), np.sqrt(taught.features_NVF.var(axis=(0, 1)).mean()) + SMALLEST_SCALE
    group_of = {name: group for group, members in fold.groups.items() for name in members}
    # hiclass takes equal names at two levels for a circle.
    labels_N2 = np.asarray([(f"group {group_of[name]}", f"species {name}") for name in taught.species_N.tolist()])
    model = LocalClassifierPerParentNode(local_classifier=PerPhotograph(max_iter=DECLARED.heads.max_iterations))
    model.fit((taught.features_NVF.reshape(-1, len(mean_F)) - mean_F) / scale, labels_N2.repeat(num_views, axis=0))
    columns = {name: place for place, name in enumerate(model.classes_[-1])}
    order_S = [columns[f"species {name}"] for name in fold.species]
    place = {f"species {name}": number for number, name in enumerate(fold.species)}

    def said(shown: Shown) -> tuple[Floats, NDArray[np.intp]]:
        x_BF = (shown.features_NVF[:, 0] - mean_F) / scale
        p_BS = np.asarray(model.predict_proba(x_BF), dtype=np.float32)[:, order_S]
        # Its likeliest species is another one in some photographs; what it answers is what counts.
        return p_BS, np.asarray([place[name] for name in model.predict(x_BF)[:, -1].tolist()], dtype=np.intp)

    (val_BS, val_named_B), (test_BS, test_named_B) = said(val), said(test)
    return Said(val_BS=val_BS, test_BS=test_BS, named=(val_named_B, test_named_B))
