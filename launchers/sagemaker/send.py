"""``launcher.wait=false``: a declaration goes to the bucket, whole, and the entry pipeline is started with it.

What it reads from this machine goes with it: photographs, tables, weights, the grouping's lock. In its place it names
where the entry pipeline's job will find these.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earthsnap_train.errors import ConfigError
from earthsnap_train.pipeline.plan import digest_of
from earthsnap_train.pipeline.prepare import Prepared
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.launcher import SageMaker
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.taxonomy.lock import lock_path
from launchers.sagemaker import places
from launchers.sagemaker.bucket import Bucket
from launchers.sagemaker.definition import compile_definitions
from launchers.sagemaker.entry_pipeline import ANY_VERSION, entry_name
from launchers.sagemaker.service import Service
from launchers.sagemaker.shelf import Done, Shelf
from launchers.sagemaker.submit import upload_external

# Where the entry pipeline's job works, seen from its working folder, which is all that it leaves behind.
GIVEN = "../given"
STORE = "../store"
AT_HOME = ("outputs", "registry", "groupings", "journal")
# Which key of a declaration names which thing from outside.
KEYS: Mapping[str, tuple[str, ...]] = {
    "photographs": ("dataset", "source", "root"),
    "table": ("dataset", "source", "table"),
    "species_table": ("dataset", "source", "species_table"),
    "reviews": ("dataset", "reviews"),
    "weights": ("backbone", "weights", "file"),
}


@dataclass(frozen=True, kw_only=True)
class Sent:
    """``home``: where what the run leaves behind will lie."""

    pipeline: str
    execution: str
    link: str
    home: str


def send(spec: RunSpec, prepared: Prepared, store: Store, bucket: Bucket, service: Service, *, run: str) -> Sent:
    """``run``: a name of its own. Raises ConfigError for what cannot travel, NotNow where it cannot start now."""
    settings = spec.launcher
    assert isinstance(settings, SageMaker)
    outside = _outside(spec, prepared)
    objects = [
        name
        for one, digest in outside.items()
        for name in upload_external(bucket, settings.prefix, places.external(one, digest), prepared.places[one])
    ]
    declared = _write(bucket, settings, spec, prepared, outside, objects)
    _hand_over_manifest(prepared, store, bucket, settings)
    name = entry_name(spec.name)
    definition = compile_definitions(prepared.plan, settings).definitions[name]
    if service.definition(name) != definition:
        service.put(name, definition, role=settings.entry_role or settings.role)
    values = {"Run": run, "Declaration": declared, "DatasetVersion": settings.dataset_version or ANY_VERSION}
    execution = service.start(name, values, token=digest_of([name, values]))
    home = f"s3://{settings.bucket}/{settings.prefix}/runs/{run}/home/"
    return Sent(pipeline=name, execution=execution, link=service.link(execution), home=home)


def _outside(spec: RunSpec, prepared: Prepared) -> dict[str, str]:
    """Name -> digest of what travels. What comes with a package or straight from S3 is there as it is here."""
    stays = {"base"}
    if spec.backbone.weights.kind == "package":
        stays.add("weights")
    if spec.dataset.source.kind == "s3":
        stays.add("photographs")
    return {name: digest for name, digest in prepared.plan.externals.items() if name not in stays}


def for_the_entry(spec: RunSpec, outside: Mapping[str, str], here: Mapping[str, Path]) -> dict[str, Any]:
    """The declaration as the entry pipeline's job is to read it. Raises ConfigError for a secret in it."""
    declared: dict[str, Any] = json.loads(spec.model_dump_json(by_alias=True))
    if "**********" in json.dumps(declared):
        raise ConfigError(
            "this is a secret, and no secret travels with a declaration",
            where="deployment.messages.webhook",
            remedy="deployment.messages.webhook=null",
        )
    for name in outside:
        if name in KEYS:
            holder = declared
            *way, last = KEYS[name]
            for part in way:
                holder = holder[part]
            inside = "" if name in places.FOLDERS else f"/{here[name].name}"
            holder[last] = f"{GIVEN}/{name}{inside}"
    declared["paths"] = {"store": STORE, **{name: name for name in AT_HOME}}
    declared["debug"] = False  # it is small already, and would be made smaller again
    declared["launcher"] |= {
        "wait": True,
        "prices": None,
        "max_cost": None,
    }  # what it costs was asked before it was sent
    return declared


def _write(
    bucket: Bucket,
    settings: SageMaker,
    spec: RunSpec,
    prepared: Prepared,
    outside: Mapping[str, str],
    objects: list[str],
) -> str:
    """Returns the key of the manifest, below the prefix; equal declarations share it, and nothing in it is changed."""
    files = {
        places.DECLARATION_FILE: json.dumps(for_the_entry(spec, outside, prepared.places), indent=1),
        places.OUTSIDE_FILE: json.dumps({name: places.external(name, digest) for name, digest in outside.items()}),
    }
    lock = lock_path(Path(spec.paths.groupings), spec.name)
    if lock.is_file():
        files[f"groupings/{lock.name}"] = lock.read_text()
    folder = places.declaration(digest_of(files))
    for name, content in files.items():
        bucket.write(f"{settings.prefix}/{folder}/{name}", content.encode())
    root = {"prefix": f"s3://{settings.bucket}/{settings.prefix}/"}
    manifest = json.dumps([root, *(f"{folder}/{name}" for name in files), *objects], indent=0).encode()
    bucket.write(f"{settings.prefix}/{folder}.manifest", manifest)
    bucket.write(f"{settings.prefix}/{places.family_declaration(spec.name)}", manifest)
    return f"{folder}.manifest"


def _hand_over_manifest(prepared: Prepared, store: Store, bucket: Bucket, settings: SageMaker) -> None:
    """The manifest that the next one grows from, where the bucket knows of none: no photograph is to change its split."""
    head = store.head(prepared.plan.family, "ingest")
    place = f"{settings.prefix}/{places.head(prepared.plan.family)}"
    if head is None or bucket.read(place) is not None:
        return
    shelf = Shelf(bucket, name=settings.bucket, prefix=settings.prefix)
    if shelf.find(head.key) is None:
        shelf.put(store.path(head.key), head)
    bucket.write(place, Done(stage="ingest", key=head.key, cached=True).model_dump_json().encode())
