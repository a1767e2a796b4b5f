"""Stage ``calibrate/family``: how likely a taxon must be to be said, found on the original photographs of val.

Writes ``calibration.json``, a ``Calibration``. The temperatures were fitted on the same photographs, by one number a node:
so few numbers cannot learn them by heart (``docs/decisions/0022-a-promise-with-answers.md``).
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from earthsnap_train.context import Context
from earthsnap_train.data.manifest import MANIFEST_FILE, TAXONOMY_FILE, ManifestRow, read_manifest
from earthsnap_train.evaluation.answers import answered
from earthsnap_train.evaluation.certainty import CALIBRATION_FILE, calibrate
from earthsnap_train.models.rollup import RollUp
from earthsnap_train.release.assemble import FamilySettings, assemble
from earthsnap_train.serving.engine import Engine, Models
from earthsnap_train.spec.architecture import Certainty
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.taxonomy.tree import Taxonomy


class Settings(SpecModel):
    """``seed``: draws the photograph that stands for its cluster."""

    family: FamilySettings
    certain: Certainty
    seed: int


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    s = Settings.model_validate(settings)
    family, files = assemble(s.family, inputs)
    engine = Engine(family, Models(files, threads=context.resources.threads))
    val = [
        row
        for row in read_manifest(inputs["manifest"] / MANIFEST_FILE)
        if row.split == "val" and row.species_id in family.group_of
    ]
    rows = one_of_each(val, s.seed)
    species_BS = np.empty((len(rows), len(family.species)), dtype=np.float32)
    done = 0
    for answer in answered(engine, s.family.photographs, [row.image_id for row in rows], inputs):
        species_BS[done : done + len(answer.species_BS)] = answer.species_BS
        done += len(answer.species_BS)
        context.events.progress(done, len(rows), "images")
    truth = np.asarray([row.species_id for row in rows], dtype=np.str_)
    roll_up = RollUp(Taxonomy.read(inputs["manifest"] / TAXONOMY_FILE), family.species)
    lineages = roll_up.lineages(species_BS)
    calibration = calibrate(
        s.certain,
        probability_BD=lineages.probability_BD,
        right_BD=roll_up.holds(lineages.taxon_BD, truth.tolist()),
        first_B=species_BS.max(axis=1).astype(np.float64),
        first_right_B=np.asarray(family.species, dtype=np.str_)[species_BS.argmax(axis=1)] == truth,
        num_images=len(val),
    )
    (out / CALIBRATION_FILE).write_text(calibration.model_dump_json(indent=1))


def one_of_each(rows: Iterable[ManifestRow], seed: int) -> list[ManifestRow]:
    """One photograph of each cluster: several of one plant are one piece of evidence, and the test counts pieces."""
    drawn = sorted(rows, key=lambda row: hashlib.sha256(f"{seed}/{row.image_id}".encode()).digest())
    first: dict[str, ManifestRow] = {}
    for row in drawn:
        first.setdefault(row.cluster_id, row)
    return sorted(first.values(), key=lambda row: row.image_id)
