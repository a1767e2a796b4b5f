"""What is there before anything runs: the source's listing, its species and groups, and digests of all that comes from outside.

Reads tables and folder entries, and hashes files that are new or changed; nothing else.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import file_digest
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from earthsnap_train.data.file_hashes import hash_files
from earthsnap_train.data.flora.species import catalogue
from earthsnap_train.data.limit import limited
from earthsnap_train.data.qa.names import Names
from earthsnap_train.data.qa.reviews import by_path, read_reviews
from earthsnap_train.data.source import Row, list_source
from earthsnap_train.errors import DataError, NotFoundError
from earthsnap_train.models.packages import package_file
from earthsnap_train.pipeline.base import find_base
from earthsnap_train.pipeline.plan import digest_of
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.architecture import Flat
from earthsnap_train.spec.dataset import FolderSource, S3Source, SyntheticFlora, TableSource
from earthsnap_train.spec.grouping import ByRank, Manual
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.taxonomy.grouping import GroupingDecision, resolve_grouping
from earthsnap_train.taxonomy.linter import Finding
from earthsnap_train.taxonomy.lock import lock_path, read_lock
from earthsnap_train.taxonomy.misspelt import misspelt_synonyms
from earthsnap_train.taxonomy.names import first_ids, ids_now, slug, without_author
from earthsnap_train.taxonomy.tree import Taxonomy


@dataclass(frozen=True, kw_only=True)
class Survey:
    """``externals``: name -> content digest; ``places``: name -> where it lies here. ``images_of``: species -> listed files.

    ``first_ids``, ``ids_now``: see ``taxonomy.names``. ``image_ids``: of the listed files, and of each species in
    ``image_ids_of``; empty where they are still to be drawn, or lie in a bucket. ``kept``: those of them that a review
    keeps whatever the checks say. A photograph that a review relabels is of that species, and one that it rejects of none.
    ``notes``: sentences for a person.
    """

    taxonomy: Taxonomy
    decision: GroupingDecision
    findings: tuple[Finding, ...]
    first_ids: Mapping[str, str]
    ids_now: Mapping[str, str]
    externals: Mapping[str, str]
    places: Mapping[str, Path]
    images_of: Mapping[str, int]
    image_ids: frozenset[str]
    image_ids_of: Mapping[str, frozenset[str]]
    kept: frozenset[str]
    notes: tuple[str, ...]


def survey(spec: RunSpec, store: Store, *, without: Collection[str] = ()) -> Survey:
    """``without``: species that QA left out. Raises DataError, TaxonomyError or ConfigError for what cannot be used."""
    externals: dict[str, str] = {}
    places: dict[str, Path] = {}
    hashes: Mapping[str, str] = {}
    source = spec.dataset.source
    if isinstance(source, SyntheticFlora):
        rows = [
            Row(
                path=p.path,
                species=p.species_id,
                scientific_name=p.scientific_name,
                common_name=p.common_name,
                ranks=dict(p.ranks),
            )
            for p in catalogue(source)
        ]
    else:
        rows, hashes = _outside(spec, store, externals, places)
    _weights(spec, store, externals, places)
    if base := find_base(spec):
        externals["release"], places["release"] = base
    if store.forgotten.exists():
        _file("forgotten", str(store.forgotten), "paths.store", externals, places)
    if spec.dataset.reviews is not None:
        _file("reviews", spec.dataset.reviews, "dataset.reviews", externals, places)

    lock = read_lock(lock_path(Path(spec.paths.groupings), spec.name), family=spec.name)
    renamed = first_ids(spec.taxonomy.synonyms, lock.group_of if lock else ())
    reviews = by_path(read_reviews(places.get("reviews")), {row.path: hashes.get(row.path, "") for row in rows})
    names = Names(rows, reviews, spec.taxonomy, renamed)
    left = tuple(one for one in names.taxonomy.species if one.species_id not in without)
    if not left:
        raise DataError("no species is left", where="dataset", remedy="see the QA report of the last run")
    taxonomy = Taxonomy(ranks=names.taxonomy.ranks, species=left)
    grouping = spec.grouping
    if isinstance(spec.architecture, Flat) and not taxonomy.ranks and isinstance(grouping, ByRank):
        # One network asks for no groups; its records are packed together all the same.
        grouping = Manual(kind="manual", groups={"all": [one.species_id for one in taxonomy.species]})
    decision = resolve_grouping(grouping, taxonomy, lock)
    known = {slug(without_author(row.species)) for row in rows}.union(lock.group_of if lock else ())
    rejected = {path for path, review in reviews.items() if review.decision == "reject"}
    shown = {path: species for path, species in names.of.items() if path not in rejected}
    image_ids_of: dict[str, frozenset[str]] = {}
    for species, kin in groupby(sorted((species, path) for path, species in shown.items()), key=itemgetter(0)):
        image_ids_of[species] = frozenset(hashes[path] for _, path in kin if path in hashes)
    return Survey(
        taxonomy=taxonomy,
        decision=decision,
        findings=names.found,
        first_ids=renamed,
        ids_now=ids_now(spec.taxonomy.synonyms, renamed),
        externals=externals,
        places=places,
        images_of=Counter(shown.values()),
        image_ids=frozenset(hashes.values()),
        image_ids_of=image_ids_of,
        kept=frozenset(hashes[path] for path in reviews.keys() & hashes.keys() - rejected),
        notes=(*decision.notes, *misspelt_synonyms(spec.taxonomy.synonyms, known)),
    )


def _outside(
    spec: RunSpec, store: Store, externals: dict[str, str], places: dict[str, Path]
) -> tuple[list[Row], Mapping[str, str]]:
    """The rows, and path -> image id of every file that lies here."""
    source = spec.dataset.source
    assert not isinstance(source, SyntheticFlora)
    if isinstance(source, S3Source):
        from earthsnap_train.data.source_s3 import list_bucket, write_listing

        root = Path(source.mirror)
        write_listing(root, there := list_bucket(source))
    else:
        root = Path(source.root).expanduser()
    places["photographs"] = root
    tables: dict[str, Path] = {}
    if isinstance(source, TableSource):
        path = Path(source.table).expanduser()
        tables["table"] = path if path.is_absolute() or path.exists() else root / path
        _file("table", str(tables["table"]), "dataset.source.table", externals, places)
    elif isinstance(source, FolderSource | S3Source) and source.species_table is not None:
        tables["species_table"] = Path(source.species_table).expanduser()
        _file("species_table", source.species_table, "dataset.source.species_table", externals, places)
    listing = limited(list_source(source, root, **tables), spec.dataset.limit)
    described = [[f.code, f.path, f.detail] for f in listing.findings]
    if isinstance(source, S3Source):
        # Nothing is read for a plan: what an object is, its ETag, size and version say.
        objects = {path: there.objects[path][:3] for path in listing.files}
        externals["photographs"] = digest_of({"objects": objects, "findings": described})
        return list(listing.rows), {}
    hashes = hash_files(root, listing, store.root / "files.sqlite")
    externals["photographs"] = digest_of(
        {"files": hashes, "findings": described, "versions": dict(listing.version_ids)}
    )
    return list(listing.rows), hashes


def _weights(spec: RunSpec, store: Store, externals: dict[str, str], places: dict[str, Path]) -> None:
    weights = spec.backbone.weights
    if weights.kind == "file" and weights.file is not None:
        _file("weights", weights.file, "backbone.weights.file", externals, places)
    elif weights.kind == "package" and weights.package is not None:
        _file("weights", str(package_file(weights.package)), "backbone.weights.package", externals, places)


def _file(name: str, path: str, where: str, externals: dict[str, str], places: dict[str, Path]) -> None:
    place = Path(path).expanduser()
    try:
        with place.open("rb") as f:
            externals[name] = file_digest(f, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFoundError(
            f"there is no file {path!r}", where=where, remedy="check the path; it starts from the current folder"
        ) from error
    places[name] = place
