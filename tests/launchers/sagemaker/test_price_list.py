"""AWS's own price list gives the prices of a region's machines, and nothing that is not in it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.errors import ConfigError, NotFoundError
from launchers.sagemaker.prices import read_prices
from tests.conftest import DEMO
from tests.launchers.sagemaker.declared import ON_SAGEMAKER

Json = dict[str, Any]


def price_list(*rows: tuple[str, str, str, str], offer: str = "AmazonSageMaker", unit: str = "Hrs") -> Json:
    """Of (region, component, instance, price); the prices are not AWS's."""
    products, terms = {}, {}
    for number, (region, component, instance, price) in enumerate(rows):
        sku = f"SKU{number}"
        attributes = {"regionCode": region, "component": component, "instanceName": instance,
                      "instanceType": f"{instance}-{component}"}  # fmt: skip
        products[sku] = {"sku": sku, "productFamily": "ML Instance", "attributes": attributes}
        dimension = {"unit": unit, "pricePerUnit": {"USD": price}}
        terms[sku] = {f"{sku}.TERM": {"priceDimensions": {f"{sku}.TERM.RATE": dimension}}}
    return {
        "offerCode": offer, "version": "20261101", "publicationDate": "2026-11-01T10:00:00Z",
        "products": products, "terms": {"OnDemand": terms},
    }  # fmt: skip


ROWS = (
    ("eu-west-1", "Training", "ml.m5.xlarge", "0.5"),
    ("eu-west-1", "Processing", "ml.m5.xlarge", "0.25"),
    ("eu-west-1", "Training", "ml.g5.xlarge", "2.0"),
    ("eu-west-1", "Training", "ml.free.xlarge", "0.0"),
    ("eu-west-1", "Hosting", "ml.g5.xlarge", "9.0"),
    ("us-east-2", "Training", "ml.g5.xlarge", "7.0"),
)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[object], Path]:
    def write(content: object) -> Path:
        place = tmp_path / "index.json"
        place.write_text(content if isinstance(content, str) else json.dumps(content))
        return place

    return write


def test_prices_are_those_of_jobs_in_the_region_with_their_date_and_source(file: Callable[[object], Path]) -> None:
    prices = read_prices(file(price_list(*ROWS)), region="eu-west-1", needed={"ml.m5.xlarge", "ml.g5.xlarge"})

    assert prices.per_hour == {"ml.g5.xlarge": 2.0, "ml.m5.xlarge": 0.5}
    assert (str(prices.date), prices.currency, prices.region) == ("2026-11-01", "USD", "eu-west-1")
    assert prices.source == "AWS's price list AmazonSageMaker 20261101"


def test_plan_tells_the_cost_by_it(file: Callable[[object], Path], earthsnap: Callable[..., Any]) -> None:
    said = earthsnap("plan", *DEMO, *ON_SAGEMAKER, f"launcher.prices={file(price_list(*ROWS))}")

    assert said.code == 0, said.err
    assert "on-demand prices of eu-west-1 on 2026-11-01, from AWS's price list AmazonSageMaker 20261101" in said.out


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        read_prices(tmp_path / "index.json", region="eu-west-1", needed=set())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (price_list(*ROWS[5:]), "no machine for jobs in eu-west-1"),
        (price_list(*ROWS, unit="GB-Mo"), "no machine for jobs in eu-west-1"),
        (price_list(*ROWS, offer="AmazonEC2"), "no machine for jobs in eu-west-1"),
        (price_list(("eu-west-1", "Training", "ml.g5.xlarge", "much")), "no price list as AWS publishes them"),
        ({"products": []}, "no price list as AWS publishes them"),
        ([], "no price list as AWS publishes them"),
        ("{", "no price list as AWS publishes them"),
        (price_list(*ROWS[:2]), "there is no price of ml.g5.xlarge"),
    ],
)
def test_a_list_that_does_not_say_it_is_refused(content: object, said: str, file: Callable[[object], Path]) -> None:
    with pytest.raises(ConfigError, match=said):
        read_prices(file(content), region="eu-west-1", needed={"ml.m5.xlarge", "ml.g5.xlarge"})
