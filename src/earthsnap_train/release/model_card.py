"""The model card of a release (Mitchell et al., "Model Cards for Model Reporting", 2019), in Markdown."""

from collections.abc import Mapping, Sequence

from earthsnap_train.evaluation.figures import Estimate, FamilyMetrics
from earthsnap_train.evaluation.wording import NAMED_FIRST, promise
from earthsnap_train.models.family import Family
from earthsnap_train.taxonomy.tree import Taxonomy

NUM_WEAKEST = 5


def model_card(
    name: str,
    family: Family,
    taxonomy: Taxonomy,
    metrics: FamilyMetrics,
    *,
    dataset_version: str,
    taught_on: Sequence[str],
    backbone: str,
    licences: Mapping[str, int],
) -> str:
    """``licences``: licence of the photographs -> how many carry it."""
    children = sum(1 for node in family.nodes if node.startswith("child/"))
    build = {
        "parent_child": f"a parent and {children} children",
        "shared_trunk": f"a parent and {children} children on one trunk",
        "flat": "one flat network",
    }[family.architecture]
    weakest = sorted(metrics.classes, key=lambda row: (row.recall.value, row.name))[:NUM_WEAKEST]
    lines = [
        f"# {name}",
        "",
        f"Names {len(family.species)} species in {len(family.groups)} groups from one photograph: {build} on {backbone}, "
        f"{family.preprocessing.image_px} px.",
        "",
        "## How good it is",
        "",
        f"{_judged_how(metrics.num_images, taught_on)} {NAMED_FIRST[family.named_first]}".rstrip(),
        "",
        "| | | 95 % interval |",
        "|---|---|---|",
        _row("first answer right", metrics.top1),
        _row("right among five", metrics.top5),
        _row("mean recall of species", metrics.macro_recall),
        _row("named outside the true group", metrics.misrouted),
        _row("wrong inside the true group", metrics.misnamed),
        f"| calibration error (ECE) | {metrics.ece:.3f} | |",
        *([_row("a flat network's first answer", metrics.flat.top1)] if metrics.flat else []),
        "",
        *_when_it_answers(metrics),
        "## Where it is weak",
        "",
        *(
            f"- {taxonomy.get(row.name).scientific_name}: {_percent(row.recall.value)} of {row.num_images} found"
            for row in weakest
        ),
        "",
        "## What it is for, and what not",
        "",
        "For suggesting a species to a person who can look again. It names only the species above it was taught; it has "
        "not been tested on other things, and must not decide what is eaten, sprayed or protected.",
        "",
        "## What it learnt from",
        "",
        f"Dataset version `{dataset_version}`, splits {', '.join(taught_on)}. Licences of the photographs: "
        + "; ".join(f"{licence} ({count})" for licence, count in sorted(licences.items()))
        + ".",
        "",
    ]
    return "\n".join(lines)


def _judged_how(num_images: int, taught_on: Sequence[str]) -> str:
    how = "as exported and behind the serving preparation."
    if "test" not in taught_on:
        return f"On {num_images} photographs that it never learnt from, {how}"
    return (
        f"The released weights have learnt from every photograph, so nothing is left to judge them on. These figures are "
        f"those of the same networks taught on train alone, on {num_images} photographs that those never learnt from, {how}"
    )


def _when_it_answers(metrics: FamilyMetrics) -> list[str]:
    said = metrics.answering
    if said is None:
        return []
    return [
        "## When it answers",
        "",
        f"It answers {_percent(said.answered.value)} of those photographs, {_percent(said.answered_as_species.value)} with a "
        f"species, and {_percent(said.answered_right.value)} of its answers are right. {promise(said.calibration)}",
        "",
    ]


def _row(label: str, estimate: Estimate) -> str:
    return f"| {label} | {_percent(estimate.value)} | {_percent(estimate.low)} to {_percent(estimate.high)} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
