"""The declaration that trackers get."""

import json

import pytest

from earthsnap_train.pipeline.told_config import told_config
from tests.conftest import declare

PLACE = "/srv/somewhere"


@pytest.mark.parametrize(
    "source",
    [
        ["dataset=folder", f"dataset.source.root={PLACE}", f"dataset.source.species_table={PLACE}.csv"],
        ["dataset=table", f"dataset.source.root={PLACE}", f"dataset.source.table={PLACE}.csv"],
        ["dataset=s3", f"dataset.source.bucket={PLACE}", f"dataset.source.prefix={PLACE}",
         f"dataset.source.endpoint_url=https:/{PLACE}", f"dataset.source.mirror={PLACE}"],
    ],
    ids=["folder", "table", "s3"],
)  # fmt: skip
def test_no_place_is_told(source: list[str]) -> None:
    elsewhere = [
        f"dataset.reviews={PLACE}.csv", "grouping=file", f"grouping.file={PLACE}.yaml", "backbone.weights.kind=file",
        f"backbone.weights.file={PLACE}.safetensors", f"paths.store={PLACE}",
    ]  # fmt: skip

    told = told_config(declare("name=garden", *source, *elsewhere))

    assert PLACE not in json.dumps(told)


def test_what_decides_a_result_is_told_as_it_was_declared() -> None:
    spec = declare("name=garden", "dataset=folder", f"dataset.source.root={PLACE}", "dataset.source.ranks=[genus]")

    told = told_config(spec)

    assert told["training"] == spec.training.model_dump(mode="json")
    assert told["dataset"]["source"]["ranks"] == ["genus"]  # type: ignore[index, call-overload]
    assert told["backbone"]["name"] == spec.backbone.name  # type: ignore[index, call-overload]
