"""Overrides as others may see them."""

import pytest

from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.tuning import Choice
from earthsnap_train.spec.validate import secret_keys
from earthsnap_train.sweep.axes import Axis
from earthsnap_train.sweep.page import render
from earthsnap_train.sweep.secret import MASK, masked, refuse_secrets
from tests.sweep.conftest import LR, METHOD, record

ADDRESS = "https://hooks.example.org/SECRET"


@pytest.mark.parametrize(
    "override",
    [
        f"deployment.messages.webhook={ADDRESS}",
        f"deployment.messages.webhook = {ADDRESS}",
        f"++deployment.messages.webhook='{ADDRESS}?a=b'",
        f"deployment.messages={{console: true, webhook: '{ADDRESS}'}}",
        f"+deployment={{messages: {{webhook: '{ADDRESS}'}}}}",
    ],
)
def test_the_page_of_a_sweep_shows_no_webhooks_address(override: str) -> None:
    sweep = record().model_copy(update={"overrides": (override,)})

    page = render(sweep)

    assert "SECRET" not in page
    assert f"{override.partition('=')[0]}={MASK}" in page


@pytest.mark.parametrize(
    "override",
    ["+experiment=plants", "deployment=local", "deployment.prod.port=8080", "~deployment.messages.webhook",
     "tuning.space={lr: {kind: float}}"],
)  # fmt: skip
def test_what_holds_no_secret_is_shown_as_it_was_typed(override: str) -> None:
    assert masked(override) == override


def test_every_secret_of_a_declaration_is_known() -> None:
    assert secret_keys() == {"deployment.messages.webhook"}


def test_a_secret_is_not_varied() -> None:
    secret = Axis(key="++deployment.messages.webhook", dimension=Choice(kind="choice", of=[f"'{ADDRESS}'"], when={}))
    refuse_secrets([LR, METHOD])

    with pytest.raises(ConfigError, match="a sweep shows what it varies") as refused:
        refuse_secrets([LR, secret])

    assert "SECRET" not in str(refused.value)
