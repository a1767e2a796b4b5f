"""AWS's own price list of SageMaker, a file that a user downloads, as prices of machines for jobs in one region."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from earthsnap_train.errors import ConfigError, NotFoundError

Json = Mapping[str, Any]
OFFER = "AmazonSageMaker"
COMPONENTS = ("Training", "Processing")  # what jobs are charged as; others are notebooks, endpoints, storage
CURRENCY = "USD"
MOST_BYTES = 1024**3


def read_price_list(path: Path, *, region: str) -> dict[str, Any]:
    """The fields of ``Prices``. Where training and processing differ the higher price counts.

    Raises NotFoundError, and ConfigError for a file that is no price list of SageMaker, or has no machine of this region.
    """
    if not path.is_file():
        raise NotFoundError("there is no such file", where=str(path))
    if path.stat().st_size > MOST_BYTES:
        raise ConfigError("the price list is too large", where=str(path), allowed=f"at most {MOST_BYTES:,} bytes")
    try:
        listed = json.loads(path.read_bytes())
        offer, date = listed["offerCode"], listed["publicationDate"][:10]
        found: dict[str, float] = {}
        for name, price in _per_hour(listed, region) if offer == OFFER else ():
            found[name] = max(price, found.get(name, 0.0))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            "it is no price list as AWS publishes them",
            where=str(path),
            allowed=f"index.json of the offer {OFFER}, or a YAML file as docs/sagemaker.md describes",
        ) from error
    if not found:
        raise ConfigError(
            f"the list has no machine for jobs in {region}",
            where=str(path),
            allowed=f"a list of the offer {OFFER}; this one is of {offer}",
            remedy=f"AWS publishes one for each region: take that of {region}",
        )
    return {
        "region": region,
        "currency": CURRENCY,
        "source": f"AWS's price list {offer} {listed.get('version', '')}".strip(),
        "date": date,
        "per_hour": dict(sorted(found.items())),
    }


def _per_hour(listed: Json, region: str) -> Iterator[tuple[str, float]]:
    """(instance type, on-demand price); what costs nothing is an allowance and no price."""
    for sku, product in listed["products"].items():
        attributes = product["attributes"]
        if attributes.get("regionCode") != region or attributes.get("component") not in COMPONENTS:
            continue
        for term in listed["terms"]["OnDemand"].get(sku, {}).values():
            for dimension in term["priceDimensions"].values():
                price = float(dimension["pricePerUnit"].get(CURRENCY, 0))
                if dimension["unit"] in ("Hrs", "Hours") and price > 0 and "instanceName" in attributes:
                    yield attributes["instanceName"], price
