"""Infrastructure of a family in one account, with the least that must be said, and in three, with all that can be."""

from functools import cache

from launchers.sagemaker.infrastructure.site import Site
from tests.conftest import declare

ONE = ("name=plants", "aws.region=eu-west-1", "aws.bucket=photographs")
KEY = "arn:aws:kms:eu-west-1:111111111111:key/12345678-1234-1234-1234-123456789012"
CONNECTION = "arn:aws:codeconnections:eu-west-1:111111111111:connection/12345678-1234-1234-1234-123456789012"
THREE = (
    *ONE,
    f"aws.kms_key={KEY}",
    "aws.tags.team=botany",
    "infra.accounts={shared: '111111111111', stage: '222222222222', prod: '333333333333'}",
    "infra.sources=[herbarium/sheets,herbarium/fields,walks]",
    f"infra.repository={{connection: '{CONNECTION}', url: 'https://github.com/botany/plants', branch: release/1.x}}",
    "infra.declaration=['+experiment=plants','training.fit_on=full']",
    "infra.wandb_secret=wandb",
    "infra.budget={monthly_usd: 500, email: money@plants.example}",
    "infra.alarm_email=team@plants.example",
)


@cache
def site(*typed: str) -> Site:
    spec = declare("infra", *typed)
    return Site(family=spec.name, infra=spec.infra)
