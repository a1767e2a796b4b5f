"""A list of prices that a user has: what an hour of each machine costs in one region. None comes with this program."""

import datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from earthsnap_train.errors import ConfigError, did_you_mean
from earthsnap_train.spec.validate import in_our_words
from earthsnap_train.taxonomy.strict_yaml import load_yaml
from launchers.sagemaker.price_list import read_price_list


class Prices(BaseModel):
    """``per_hour``: instance type -> on-demand price of its machine. ``source`` and ``date``: where and when it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: str
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    source: Annotated[str, Field(min_length=1)]
    date: datetime.date
    per_hour: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]]


def read_prices(path: Path, *, region: str, needed: set[str]) -> Prices:
    """``path``: a YAML file, or AWS's own price list in JSON.

    Raises NotFoundError, and ConfigError for a file that is none of prices, is for another region, or lacks a machine.
    """
    try:
        is_from_aws = path.suffix == ".json"
        prices = Prices.model_validate(read_price_list(path, region=region) if is_from_aws else load_yaml(path))
    except ValidationError as error:
        raise in_our_words(error, Prices, f"{path}: ") from None
    if prices.region != region:
        raise ConfigError(f"the prices are those of {prices.region}", where=str(path), allowed=region)
    for instance_type in sorted(needed - prices.per_hour.keys()):
        raise ConfigError(
            f"there is no price of {instance_type}",
            where=f"{path}: per_hour",
            allowed=", ".join(prices.per_hour),
            remedy=did_you_mean(instance_type, prices.per_hour),
        )
    return prices
