"""The parts of a declaration that several stages are given, without the places in them."""

from pydantic import JsonValue

from earthsnap_train.data.source import FLORA_COLUMNS
from earthsnap_train.spec.backbone import Backbone
from earthsnap_train.spec.dataset import Source, SyntheticFlora, TableSource
from earthsnap_train.spec.run import RunSpec

Json = dict[str, JsonValue]
PLACES = frozenset({"root", "table", "species_table", "mirror", "bucket", "prefix", "region", "endpoint_url"})


def of_ingest(spec: RunSpec) -> Json:
    """What decides which photographs are in, and on which side of the split."""
    dataset, source = spec.dataset, spec.dataset.source
    if isinstance(source, SyntheticFlora):
        flora = TableSource(kind="table", root="", table="", columns=FLORA_COLUMNS, ranks=["order", "family", "genus"])
        described = flora.model_dump(mode="json")
    else:
        described = without_places(source)
    return {
        "source": described,
        "qa": dataset.qa.model_dump(mode="json"),
        "split": dataset.split.model_dump(mode="json"),
        "limit": dataset.limit.model_dump(mode="json"),
        "min_images_per_species": dataset.min_images_per_species,
        "too_few": dataset.too_few,
        "keep_originals": dataset.keep_originals,
        "taxonomy": spec.taxonomy.model_dump(mode="json"),
    }


def without_places(source: Source) -> Json:
    """Where things lie is no part of what they are."""
    return {k: ("" if k in PLACES else v) for k, v in source.model_dump(mode="json").items()}


def of_network(backbone: Backbone, *, exported: bool = False) -> Json:
    """The backbone without where its weights come from: those are an input. How it is exported teaches nothing."""
    weights: Json = {"weights": {"kind": "none", "file": None, "package": None}}
    export: Json = {} if exported else {"quantization": "none", "looks": 1}
    return backbone.model_dump(mode="json") | weights | export


def of_photographs(spec: RunSpec) -> Json:
    """How a photograph is prepared for being named."""
    return {
        "image_px": spec.backbone.image_px,
        "crop_fraction": spec.backbone.crop_fraction,
        "interpolation": spec.backbone.interpolation,
        "max_megapixels": spec.dataset.qa.max_megapixels,
    }
