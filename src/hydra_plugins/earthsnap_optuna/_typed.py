"""What was typed -> what is the same in all jobs, and what is varied."""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Sweep
from pydantic import ValidationError

from earthsnap_train.errors import ConfigError, did_you_mean
from earthsnap_train.spec.tuning import Choice, FloatRange, IntRange
from earthsnap_train.sweep.axes import Axis

TAGS = ("log",)


@dataclass(frozen=True, kw_only=True)
class Typed:
    """``fixed``: overrides as they were typed."""

    fixed: tuple[str, ...]
    axes: tuple[Axis, ...]


def read(arguments: Sequence[str], loader: ConfigLoader, *, as_list: bool) -> Typed:
    """``as_list``: a range becomes its numbers one by one, as a grid wants it. The last of equal keys counts."""
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))
    last = {one.get_key_element(): one for one in parsed}
    return Typed(
        fixed=tuple(str(one.input_line) for one in last.values() if not one.is_sweep_override()),
        axes=tuple(_axis(one, as_list=as_list) for one in last.values() if one.is_sweep_override()),
    )


def _axis(override: Override, *, as_list: bool) -> Axis:
    key = override.get_key_element()
    sweep = override.value()
    tags = sweep.tags if isinstance(sweep, Sweep) else set()
    for tag in sorted(tags - set(TAGS)):
        raise ConfigError(
            f"no such tag: {tag!r}", where=str(override.input_line), allowed=", ".join(TAGS),
            remedy=did_you_mean(tag, TAGS),
        )  # fmt: skip
    try:
        return Axis(key=key, dimension=_dimension(override, sweep, is_log="log" in tags, as_list=as_list))
    except ValidationError as error:
        first = error.errors()[0]
        said = f"{first['loc'][-1]} {first['msg'].removeprefix('Value error, ')}"
        raise ConfigError("this is no range", where=str(override.input_line), allowed=said) from None


def _dimension(override: Override, sweep: object, *, is_log: bool, as_list: bool) -> FloatRange | IntRange | Choice:
    if isinstance(sweep, IntervalSweep):
        low, high = sweep.start, sweep.end
        if isinstance(low, int) and isinstance(high, int):
            return IntRange(kind="int", low=low, high=high, log=is_log, when={})
        return FloatRange(kind="float", low=low, high=high, log=is_log, when={})
    numbers = sweep.range() if isinstance(sweep, RangeSweep) and not as_list else None
    if isinstance(numbers, range) and numbers.step > 0 and len(numbers) > 1:
        return IntRange(kind="int", low=numbers[0], high=numbers[-1], step=numbers.step, log=is_log, when={})
    words = list(override.sweep_string_iterator())
    if is_log:
        raise ConfigError(
            "values one by one have no scale", where=str(override.input_line), remedy="tag(log, interval(LOW, HIGH))"
        )
    return Choice(kind="choice", of=words, when={})
