"""What a sweep keeps to itself of an override."""

from collections.abc import Sequence

from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.tuning import Choice
from earthsnap_train.spec.validate import secret_keys
from earthsnap_train.sweep.axes import PLAIN, Axis

MASK = "**********"


def masked(override: str) -> str:
    """Without its value where that is a secret, or a mapping that may hold one."""
    key, _, value = override.partition("=")
    place = key.strip().lstrip("+~").partition("@")[0]
    is_secret = place in secret_keys()
    # One word is a choice of a file, as in deployment=local.
    may_hold_one = not PLAIN.fullmatch(value) and any(secret.startswith(f"{place}.") for secret in secret_keys())
    return f"{key}={MASK}" if value and (is_secret or may_hold_one) else override


def refuse_secrets(axes: Sequence[Axis]) -> None:
    """Raises ConfigError: each job is named by the values that it has."""
    for axis in axes:
        words = axis.dimension.of if isinstance(axis.dimension, Choice) else []
        if any(masked(f"{axis.key}={word}").endswith(MASK) for word in words):
            raise ConfigError(
                "a sweep shows what it varies, and this is secret", where=axis.name, remedy="give one value"
            )
