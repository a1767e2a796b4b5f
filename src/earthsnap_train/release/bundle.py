"""Stage ``bundle``: everything that a release is, but its number.

::

    family.json         nodes with the digests of their models, class lists, grouping, routing, temperatures, preprocessing
    nodes/*.onnx        a head each        trunks/*.onnx   what they share, each once
    taxonomy.parquet    names and ranks
    golden/             photographs of the test split, and the answers that every server of this release must give
    lineage/            which photographs it was taught and judged on, the dataset version, and ids that others lead to
    MODEL_CARD.md
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from earthsnap_train import __version__
from earthsnap_train.context import Context
from earthsnap_train.data.formats import SERVED, extension_of
from earthsnap_train.data.manifest import (
    HEADER_FILE,
    MANIFEST_FILE,
    TAXONOMY_FILE,
    ManifestRow,
    read_header,
    read_manifest,
)
from earthsnap_train.data.originals import original_reader
from earthsnap_train.data.preprocess import prepare_file
from earthsnap_train.evaluation.figures import FamilyMetrics
from earthsnap_train.models.family import Family
from earthsnap_train.release.assemble import FamilySettings, assemble
from earthsnap_train.release.bundle_files import model_files
from earthsnap_train.release.model_card import model_card
from earthsnap_train.serving.answer import Words
from earthsnap_train.serving.engine import Engine, Models
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.taxonomy.tree import Taxonomy

NUM_GOLDEN = 96
MAX_GOLDEN_BYTES = 48 << 20  # all of them
MAX_PHOTOGRAPH_BYTES = 5 << 20  # one of them: a hosted endpoint takes bodies up to 6 MiB
NUM_ANSWERS = 5


class Settings(SpecModel):
    """``taught_on``: the splits that the released weights have seen. ``ids_now``: see ``taxonomy.names``."""

    name: str
    family: FamilySettings
    taught_on: list[str]
    backbone: str
    ids_now: dict[str, str] = Field(default={})


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    s = Settings.model_validate(settings)
    family, files = assemble(s.family, inputs)
    shutil.copyfile(inputs["manifest"] / TAXONOMY_FILE, out / "taxonomy.parquet")
    (out / "family.json").write_text(family.model_dump_json(indent=1))
    placed = place_models(family, files, out)
    rows = [row for row in read_manifest(inputs["manifest"] / MANIFEST_FILE) if row.species_id in family.group_of]
    taxonomy = Taxonomy.read(out / "taxonomy.parquet")
    _write_golden(s, Engine(family, Models(placed, threads=1)), taxonomy, rows, inputs, out / "golden")
    lineage = out / "lineage"
    lineage.mkdir()
    header = read_header(inputs["manifest"] / HEADER_FILE)
    dataset = {
        "version": header.dataset_version,
        "taught_on": s.taught_on,
        "code": __version__,
        "ids_now": s.ids_now,
    }
    (lineage / "dataset.json").write_text(json.dumps(dataset, indent=1))
    images = {name: [getattr(row, name) for row in rows] for name in ("image_id", "split", "species_id")}
    pq.write_table(pa.table(images), lineage / "images.parquet", compression="zstd")
    metrics = FamilyMetrics.model_validate_json((inputs["evaluated"] / "metrics.json").read_bytes())
    card = model_card(
        s.name, family, taxonomy, metrics,
        dataset_version=header.dataset_version, taught_on=s.taught_on, backbone=s.backbone, licences=_licences(rows),
    )  # fmt: skip
    (out / "MODEL_CARD.md").write_text(card)


def place_models(family: Family, files: Mapping[str, Path], out: Path) -> dict[str, Path]:
    """Copies the ONNX files to where ``model_files`` finds them; a trunk that nodes share is copied once."""
    placed = model_files(family, out)
    for digest, path in placed.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files[digest], path)
    return placed


def _write_golden(
    s: Settings,
    engine: Engine,
    taxonomy: Taxonomy,
    rows: list[ManifestRow],
    inputs: Mapping[str, Path],
    out: Path,
) -> None:
    """Photographs that a server takes, one of each group in turn and by image id, and what the release says of each."""
    out.mkdir()
    by_group: dict[str, list[ManifestRow]] = {group: [] for group in engine.family.groups}
    for row in rows:
        if row.split == "test" and ("JPEG" if row.format == "MPO" else row.format) in SERVED:
            by_group[engine.family.group_of[row.species_id]].append(row)
    longest = max(map(len, by_group.values()), default=0)
    turns = [members[turn] for turn in range(longest) for members in by_group.values() if turn < len(members)]
    read = original_reader(inputs["manifest"], inputs["photographs"])
    family = engine.family
    words = Words(family, taxonomy, NUM_ANSWERS)
    answers: list[dict[str, object]] = []
    left = MAX_GOLDEN_BYTES
    for row in turns:
        if len(answers) == NUM_GOLDEN:
            break
        data = read(row.image_id)
        if len(data) > min(left, MAX_PHOTOGRAPH_BYTES):
            continue
        left -= len(data)
        name = f"{row.image_id[:16]}{extension_of(row.format)}"
        (out / name).write_bytes(data)
        image = prepare_file(
            data, s.family.photographs.preprocessing, max_megapixels=s.family.photographs.max_megapixels
        )
        answer = engine.answer(image[None])
        said = words.say(answer.species_BS, answer.groups_BG)
        golden: dict[str, object] = {
            "file": name,
            "species_id": row.species_id,
            "top": _rounded(words.naming.top(answer.species_BS[0], NUM_ANSWERS)),
            "group": said["group"]["name"],
            "answer": {"rank": said["answer"]["rank"], "name": said["answer"]["name"]},
        }
        if family.named_first != "likeliest":  # else probabilities alone say it
            golden["nearly_first"] = _rounded(words.naming.nearly_first(answer.species_BS[0], NUM_ANSWERS))
        answers.append(golden)
    (out / "answers.json").write_text(json.dumps(answers, indent=1))


def _rounded(named: Iterable[tuple[str, float]]) -> list[list[object]]:
    return [[species, round(number, 5)] for species, number in named]


def _licences(rows: list[ManifestRow]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.licence or "not stated"] = counts.get(row.licence or "not stated", 0) + 1
    return counts
