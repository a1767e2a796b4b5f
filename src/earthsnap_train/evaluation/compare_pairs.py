"""Two releases on the photographs that both were judged on: neither learnt from them, for a photograph never changes sides.

A species' difference in recall is its wins less its losses over its photographs, and its interval a paired bootstrap over
its plants; those of the whole family draw plants from all species, the mean over species from each species apart.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.evaluation.compare_chance import discoveries, sign_test, tellable
from earthsnap_train.evaluation.compare_figures import Difference, Judged, LostPhotograph, Pairs, SpeciesPair, Verdict
from earthsnap_train.evaluation.figures import Estimate, Name
from earthsnap_train.evaluation.intervals import (
    NUM_RESAMPLES,
    Clusters,
    number_clusters,
    percentiles,
    resampled_means,
    resampled_sums,
)
from earthsnap_train.evaluation.metrics import NUM_BINS, equal_mass_bins
from earthsnap_train.evaluation.pictures import Album
from earthsnap_train.evaluation.predictions import Answers, FamilyPredictions, Names
from earthsnap_train.evaluation.report_rows import choose_portraits

NUM_LOST = 18
NUM_LOST_EACH = 3

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Common:
    """What both were asked, in the order of the image ids."""

    image_id: Names
    uri: Names
    truth: Names
    clusters: Clusters
    new: Answers
    old: Answers

    @property
    def new_right(self) -> NDArray[np.bool_]:
        return np.asarray(self.new.first == self.truth)

    @property
    def old_right(self) -> NDArray[np.bool_]:
        return np.asarray(self.old.first == self.truth)


def judge_pairs(
    new: FamilyPredictions,
    old: FamilyPredictions,
    *,
    known_to_old: Collection[str],
    ids_now: Mapping[str, str],
    names: Mapping[str, Name],
    group_of: Mapping[str, str],
    album: Album,
) -> Judged | None:
    """None without a common photograph. ``names``, ``group_of`` and ``ids_now``: the new release's.

    A photograph whose label was corrected counts by its new label, and only where the old release knows that species.
    Of species that were merged, the old release may name any. Where one is gone and nothing says what it has become,
    no one knows whether its name would be right: the species that took in its photographs are left out.
    """
    _, rows, old_rows = np.intersect1d(new.image_id, old.image_id, assume_unique=True, return_indices=True)
    fair = np.isin(new.species_id[rows], [ids_now.get(one, one) for one in known_to_old])
    rows, old_rows = rows[fair], old_rows[fair]
    truth, was = new.species_id[rows], _now(old.species_id[old_rows], ids_now)
    told = ~np.isin(truth, truth[~np.isin(was, sorted(group_of))])
    num_untold = int((~told).sum())
    rows, old_rows, was = rows[told], old_rows[told], was[told]
    if not len(rows):
        return None
    common = _Common(
        image_id=new.image_id[rows],
        uri=new.uri[rows],
        truth=new.species_id[rows],
        clusters=number_clusters(new.cluster_id[rows], len(rows)),
        new=new.answers.take(rows),
        old=_merged(old.answers.take(old_rows), ids_now),
    )
    species, macro_recall, num_tellable = _species(common, names, group_of)
    overall = _overall(common)
    return Judged(
        num_only_new=len(new) - len(rows) - num_untold,
        num_only_old=len(old) - len(rows) - num_untold,
        num_untold=num_untold,
        num_relabelled=int((common.truth != was).sum()),
        num_plants=int(common.clusters.max()) + 1,
        num_tellable=num_tellable,
        pairs=_pairs(common.new_right, common.old_right),
        **overall,
        macro_recall=macro_recall,
        species=species,
        lost=_lost(common, species, names, choose_portraits(new), album),
    )


def _now(species: Names, ids_now: Mapping[str, str]) -> Names:
    """The ids that these species have in the new release."""
    known, place = np.unique(species, return_inverse=True)
    return np.asarray([ids_now.get(one, one) for one in known.tolist()], dtype=np.str_)[place].reshape(species.shape)


def _merged(answers: Answers, ids_now: Mapping[str, str]) -> Answers:
    """What they say of the new release's species: one that goes by several names is as likely as all of these together."""
    names = _now(answers.names, ids_now)
    same = names[:, :, None] == names[:, None, :]
    return Answers(names=names, probability=(same * answers.probability[:, None, :]).sum(axis=2))


def _pairs(new_right: NDArray[np.bool_], old_right: NDArray[np.bool_]) -> Pairs:
    return Pairs(
        both=int((new_right & old_right).sum()),
        only_new=int((new_right & ~old_right).sum()),
        only_old=int((~new_right & old_right).sum()),
        neither=int((~new_right & ~old_right).sum()),
    )


def _overall(common: _Common) -> dict[str, Difference]:
    """Top-1, top-5 and calibration error. The bins of the latter are those of all photographs, in every resample."""
    hits = [(answers.first == common.truth, answers.contain(common.truth)) for answers in (common.new, common.old)]
    columns = [np.ones(len(common.truth)), *(right.astype(np.float64) for both in hits for right in both)]
    for answers, (right, _) in zip((common.new, common.old), hits, strict=True):
        in_bin = equal_mass_bins(answers.confidence)[:, None] == np.arange(NUM_BINS)
        columns += list(((answers.confidence - right)[:, None] * in_bin).T)
    values_PK = np.stack(columns, axis=1)
    drawn_RK = resampled_sums(values_PK, common.clusters)

    def difference(new: Floats, old: Floats) -> Difference:
        """Of the figure in every resample, the whole itself coming last."""
        minus = new - old
        return Difference(new=float(new[-1]), old=float(old[-1]), minus=percentiles(float(minus[-1]), minus[:-1]))

    sums_RK = np.vstack([drawn_RK, values_PK.sum(axis=0)])
    num, top1, top5, old_top1, old_top5 = sums_RK[:, :5].T
    gap, old_gap = np.abs(sums_RK[:, 5:]).reshape(-1, 2, NUM_BINS).sum(axis=2).T
    return {
        "top1": difference(top1 / num, old_top1 / num),
        "top5": difference(top5 / num, old_top5 / num),
        "ece": difference(gap / num, old_gap / num),
    }


def _species(
    common: _Common, names: Mapping[str, Name], group_of: Mapping[str, str]
) -> tuple[tuple[SpeciesPair, ...], Difference, int]:
    """Each species, worst first; the mean over them; of how many it could be told that they changed."""
    present, number = np.unique(common.truth, return_inverse=True)
    new_right, old_right = common.new_right, common.old_right
    # A plant within a species: its net wins, and its photographs.
    num_clusters = int(common.clusters.max()) + 1
    plants, plant = np.unique(number * num_clusters + common.clusters, return_inverse=True)
    net = np.bincount(plant, new_right.astype(np.float64) - old_right).astype(np.intp)
    sizes = np.bincount(plant)
    ends = np.searchsorted(plants // num_clusters, np.arange(len(present) + 1))
    own = [slice(start, end) for start, end in pairwise(ends)]
    order = np.argsort(number, kind="stable")
    photographs = np.split(order, np.cumsum(np.bincount(number))[:-1])

    votes = [(int((net[at] > 0).sum()), int((net[at] < 0).sum())) for at in own]
    p_values = [sign_test(won, lost) for won, lost in votes]
    able = tellable([won + lost for won, lost in votes])
    found = discoveries(p_values, able)
    differences: list[Floats] = []
    rows: list[SpeciesPair] = []
    for i, species in enumerate(present.tolist()):
        pairs = _pairs(new_right[photographs[i]], old_right[photographs[i]])
        drawn = resampled_means(net[own[i]], sizes[own[i]], i) if len(sizes[own[i]]) > 1 else None
        recall = _recall(pairs, drawn)
        # A species with one plant has no spread to draw from: in the mean its difference is taken as it is.
        differences.append(np.full(NUM_RESAMPLES, recall.minus.value) if drawn is None else drawn)
        rows.append(
            SpeciesPair(
                name=names[species],
                group=group_of[species],
                num_plants=len(sizes[own[i]]),
                pairs=pairs,
                recall=recall,
                p_value=p_values[i],
                verdict=_verdict(recall.minus, is_found=bool(found[i]), differs=pairs.only_new + pairs.only_old > 0),
            )
        )
    new, old = (float(np.mean([getattr(row.recall, side) for row in rows])) for side in ("new", "old"))
    macro = Difference(new=new, old=old, minus=percentiles(new - old, np.mean(differences, axis=0)))
    ranked = sorted(rows, key=lambda row: (_PLACE[row.verdict], row.recall.minus.value, row.p_value, row.name.label))
    return tuple(ranked), macro, int(able.sum())


_PLACE: Mapping[Verdict, int] = {"worse": 0, "unclear": 1, "same": 1, "better": 2}


def _recall(pairs: Pairs, drawn: Floats | None) -> Difference:
    """One plant says nothing about others, so anything may be true of them."""
    new, old = (pairs.both + pairs.only_new) / pairs.num_images, (pairs.both + pairs.only_old) / pairs.num_images
    interval = Estimate(value=new - old, low=-1.0, high=1.0) if drawn is None else percentiles(new - old, drawn)
    return Difference(new=new, old=old, minus=interval)


def _verdict(minus: Estimate, *, is_found: bool, differs: bool) -> Verdict:
    if is_found and minus.high < 0:
        return "worse"
    if is_found and minus.low > 0:
        return "better"
    return "unclear" if differs else "same"


def _lost(
    common: _Common,
    species: tuple[SpeciesPair, ...],
    names: Mapping[str, Name],
    portraits: Mapping[str, str],
    album: Album,
) -> tuple[LostPhotograph, ...]:
    """The worse species' photographs first, then the surest mistakes; a few of each species."""
    worse = [one.name.species_id for one in species if one.verdict == "worse"]
    rows = np.flatnonzero(common.old_right & ~common.new_right)
    order = rows[np.lexsort((common.image_id[rows], -common.new.confidence[rows], ~np.isin(common.truth[rows], worse)))]
    seen: Counter[str] = Counter()
    lost: list[LostPhotograph] = []
    for row in order:
        truth, said = str(common.truth[row]), str(common.new.first[row])
        seen[truth] += 1
        if seen[truth] > NUM_LOST_EACH:
            continue
        lost.append(
            LostPhotograph(
                image_id=str(common.image_id[row]),
                uri=str(common.uri[row]),
                picture=album.picture(str(common.uri[row]), 240),
                truth=names[truth],
                said=names.get(said),
                confidence=float(common.new.confidence[row]),
                portrait=album.picture(portraits[said], 80) if said in portraits else None,
            )
        )
        if len(lost) == NUM_LOST:
            break
    return tuple(lost)
