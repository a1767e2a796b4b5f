"""How every node is taught, and which of its settings a search finds."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError

from pydantic import ValidationError

from earthsnap_train.errors import ConfigError, did_you_mean
from earthsnap_train.spec.architecture import NamedFirst
from earthsnap_train.spec.launcher import LauncherSpec, SageMaker
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.spec.training import OF_RANKS, Teaching, Training
from earthsnap_train.spec.tuning import Choice, Dimension, FloatRange, IntRange, Search, Sought, in_order
from earthsnap_train.spec.validate import in_our_words, known_keys
from earthsnap_train.spec.written import options

NOT_SEARCHED = ("method", "head_first", "augmentation")  # the way itself, and names of what has keys of its own


def teaching_of(spec: RunSpec, node: str, *, ranks: Sequence[str]) -> Teaching:
    """What ``training`` says, with what ``nodes`` says of this one. Raises ConfigError for an override that cannot be.

    ``ranks``: of the taxonomy.
    """
    merged = spec.training.model_dump()
    for name in _names(node):
        merged |= spec.nodes.get(name, {})
    try:
        training = Training.model_validate(merged)
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        given = next((n for n in (node, "child") if key in spec.nodes.get(n, {})), node)
        raise in_our_words(error, Training, f"nodes.{given}.") from None
    for key, off in options(training).items():
        given = next((f"nodes.{n}" for n in (node, "child") if key.split(".")[0] in spec.nodes.get(n, {})), "training")
        _check_option(f"{given}.{key}", off, node, training, ranks)
    return training.teaching()


def _check_option(where: str, off: str, node: str, training: Training, ranks: Sequence[str]) -> None:
    """Raises ConfigError for an option that says nothing to this node; ``off``: the value that it then has."""
    key = where.rpartition(".")[2]
    if training.method == "head":
        raise ConfigError(
            f"it belongs to whole networks, and {node} is a head alone",
            where=where,
            allowed=f"{off} where the method is head",
            remedy=f"training=head_then_full, or {where}={off}",
        )
    if key in OF_RANKS and not ranks:
        raise _no_ranks(where, off)


def check_named_first(named_first: NamedFirst, *, ranks: Sequence[str]) -> None:
    """Raises ConfigError where all species are equally far from each other, so that it would say nothing."""
    if named_first == "least_expected_distance" and not ranks:
        raise _no_ranks("architecture.named_first", "likeliest")


def _no_ranks(where: str, off: str) -> ConfigError:
    return ConfigError(
        "the species have no higher ranks",
        where=where,
        allowed=f"{off} without ranks",
        remedy="name the ranks that the photographs' folders or table have: dataset.source.ranks=[order,family,genus]",
    )


def check_names(given: Mapping[str, object], where: str, nodes: Sequence[str]) -> None:
    """Raises ConfigError for a node, or a kind of node, that this family does not have."""
    known = list(dict.fromkeys(["parent", "child", "flat", *nodes]))
    for name in given:
        if name not in known:
            raise ConfigError(
                f"no node is called {name!r}",
                where=f"{where}.{name}",
                allowed=", ".join(known),
                remedy=did_you_mean(name, known),
            )


def check_engine(search: Search, launcher: LauncherSpec) -> None:
    """Raises ConfigError where the service shall search and nothing runs there."""
    if search.engine == "sagemaker" and not isinstance(launcher, SageMaker):
        raise ConfigError(
            "the service searches only where jobs run as its pipelines",
            where="tuning.engine",
            allowed="optuna, or sagemaker together with launcher=sagemaker",
            remedy="tuning.engine=optuna",
        )


def searches_of(
    search: Search, teaching: Mapping[str, Teaching], ranks: Mapping[str, Sequence[str]]
) -> dict[str, tuple[list[str], Sought]]:
    """Name of a search (``parent``, ``child``, ``child/x``, ``flat``) -> the nodes that share it, and what is sought.

    ``ranks``: those above each node's classes. Raises ConfigError for a space that one of the nodes cannot use.
    """
    check_names(search.nodes, "tuning.nodes", list(teaching))
    found: dict[str, tuple[list[str], Sought]] = {}
    for node, of_node in teaching.items():
        shared = node.startswith("child/") and search.per == "kind"
        name = "child" if shared else node
        if shared and node in search.nodes:
            raise ConfigError(
                "all children share one search, so that one of them has no space of its own",
                where=f"tuning.nodes.{node}",
                remedy="tuning.per=node searches for each child, or tuning.nodes.child is the space of all",
            )
        own = [one for one in _names(name) if one in search.nodes]
        where = f"tuning.nodes.{own[-1]}" if own else "tuning.space"
        space = search.space_of(*_names(name))
        _check_space(space, where, sampler=search.sampler)
        for key, dimension in space.items():
            _check_key(key, dimension, f"{where}.{key}", node, of_node, ranks[node])
        found.setdefault(name, ([], search.of(space)))[0].append(node)
    return found


def _names(node: str) -> tuple[str, ...]:
    """From the general to the particular."""
    return ("child", node) if node.startswith("child/") else (node,)


def _check_space(space: Mapping[str, Dimension], where: str, *, sampler: str) -> None:
    """Raises ConfigError for a space that contradicts itself, or that the sampler cannot search."""
    if not space:
        raise ConfigError("there is nothing to search", where=where, remedy="tuning=none teaches as training/ says")
    for key, dimension in space.items():
        if sampler == "grid" and dimension.when:
            raise ConfigError(
                "a grid tries everything with everything, and so has no conditions",
                where=f"{where}.{key}.when",
                remedy="tuning.sampler=tpe or random",
            )
        if sampler == "grid" and isinstance(dimension, FloatRange):
            raise ConfigError(
                "a grid needs values that can be counted",
                where=f"{where}.{key}.kind",
                allowed="choice, int",
                remedy="{kind: choice, of: [...]}, or tuning.sampler=tpe",
            )
        for other, values in dimension.when.items():
            _check_condition(space, f"{where}.{key}.when.{other}", other, values)
    try:
        in_order(space)
    except CycleError as error:
        circle = " -> ".join(str(key) for key in error.args[1])
        raise ConfigError(f"conditions lead in a circle: {circle}", where=where) from None


def _check_condition(space: Mapping[str, Dimension], where: str, other: str, values: Sequence[object]) -> None:
    if other not in space:
        raise ConfigError(
            "no such key is searched", where=where, allowed=", ".join(space), remedy=did_you_mean(other, space)
        )
    for value in values:
        if not space[other].has(value):  # type: ignore[arg-type]
            raise ConfigError(f"{value!r} is never tried there", where=where, allowed=_words(space[other]))


def _words(dimension: Dimension) -> str:
    if isinstance(dimension, Choice):
        return ", ".join(str(value) for value in dimension.of)
    step = f" by steps of {dimension.step}" if isinstance(dimension, IntRange) and dimension.step != 1 else ""
    return f"{dimension.low:g} to {dimension.high:g}{step}"


def _check_key(key: str, dimension: Dimension, where: str, node: str, teaching: Teaching, ranks: Sequence[str]) -> None:
    """Raises ConfigError for a key that there is not or that this node does not use, and for values that it cannot have."""
    used = _used(teaching, ranks)
    if key not in used:
        known = [one for one in known_keys(Teaching) if one not in NOT_SEARCHED]
        if key in known:
            no_ranks = key in OF_RANKS and teaching.method != "head"
            why = "its classes have no higher ranks" if no_ranks else f"its method is {teaching.method}"
            raise ConfigError(
                f"{node} does not use it, for {why}",
                where=where,
                allowed=", ".join(used),
                remedy="tuning.nodes gives a node a space of its own",
            )
        near = did_you_mean(key, used) or next((f"Did you mean {k!r}?" for k in used if k.endswith(f".{key}")), "")
        raise ConfigError("no such key is searched", where=where, allowed=", ".join(used), remedy=near)
    for value in dimension.samples:
        try:
            teaching.replaced({key: value})
        except TypeError:
            raise ConfigError(f"{key.rpartition('.')[0]} is null for {node}", where=where) from None
        except ValidationError as error:
            said = error.errors()[0]["msg"].removeprefix("Input should be ").partition(", unable to")[0]
            raise ConfigError(f"training.{key} cannot be {value!r}", where=where, allowed=said.lower()) from None


def _used(teaching: Teaching, ranks: Sequence[str]) -> list[str]:
    """Keys that a search may give this node."""
    unused = [name for name in ("head_first", "augmentation") if getattr(teaching, name) is None]
    no_ranks = OF_RANKS if teaching.method == "head" or not ranks else frozenset()
    return [
        key
        for key in known_keys(Teaching)
        if key not in NOT_SEARCHED and key not in no_ranks and not any(key.startswith(f"{name}.") for name in unused)
    ]
