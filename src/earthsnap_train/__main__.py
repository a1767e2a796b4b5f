"""argv -> verb -> compose -> spec -> plan -> launch. The only file that knows Hydra.

``python -m earthsnap_train [VERB] [OVERRIDES]`` and the script ``earthsnap`` are one thing. The verb is taken out of argv
before Hydra sees it and becomes ``job=VERB``; an option of that verb may be given without its ``job.``; ``--json`` and
``--traceback`` are short for ``json=true`` and ``traceback=true``. ``--declaration FILE`` takes a whole declaration from a
file instead. All else is Hydra's own.
"""

import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from earthsnap_train.errors import ConfigError, EarthsnapError, did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel

    from earthsnap_train.spec.run import RunSpec
    from earthsnap_train.sweep.ended import Ended

# Looking for pydantic's plugins reads the metadata of every installed package, and none is wanted here.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

FLAGS = {"--json": "json=true", "--traceback": "traceback=true"}
# Hydra's own flags, by whether a value follows.
SWITCHES = (
    "--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m", "--shell-completion", "-sc",
)  # fmt: skip
VALUED = (
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
    "--experimental-rerun", "--info", "-i",
)  # fmt: skip
# Verbs that are about this place rather than about one declaration need no family's name.
NAMELESS = (
    "status", "doctor", "schema", "gc", "predict", "forget", "approve", "reject", "releases", "history", "serve", "stop",
    "rollout", "promote", "rollback", "watch", "console", "user", "sync",
)  # fmt: skip
# Parts of a declaration that are open to new keys: there no override needs Hydra's ``+``.
OPEN = (
    "nodes", "tuning.space", "tuning.nodes", "evaluation.gates", "taxonomy.synonyms", "grouping.groups",
    "dataset.source.columns.ranks", "launcher.kinds", "launcher.nodes", "launcher.tags", "launcher.max_instances",
    "deployment.tags", "registry.tags", "aws.tags", "infra.tags",
)  # fmt: skip


def main() -> None:
    """Console entry point; leaves with the exit code of the error's kind (see ``errors``)."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: Sequence[str]) -> int:
    if "--version" in arguments:
        from earthsnap_train import __version__

        print(f"earthsnap_train {__version__}")  # noqa: T201
        return 0
    if arguments and arguments[0] == "--declaration":
        return _perform_declared(list(arguments[1:]))
    try:
        overrides = translate(arguments)
    except EarthsnapError as error:
        return _tell(error, show=False)
    # Hydra then raises its errors instead of printing them, so that they can be told as all others are.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    import hydra
    from omegaconf import DictConfig

    codes: list[int] = []

    @hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")
    def task(composed: DictConfig) -> "Ended":
        ended = _perform(composed)
        codes.append(ended.code)
        return ended

    sys.argv[1:] = overrides
    try:
        task()
    except SystemExit as leaving:  # --help, and what argparse refuses
        return leaving.code if isinstance(leaving.code, int) else 2
    except EarthsnapError as error:  # a sweep's own
        return _tell(error, show="traceback=true" in overrides)
    except Exception as error:  # Hydra's own: ``_perform`` tells of all others
        if "traceback=true" in overrides:
            traceback.print_exc()
        return _tell(_from_hydra(error, overrides), show=False)
    if 130 in codes and not {"-m", "--multirun"} & set(overrides):  # a sweep says itself how it goes on
        print("\nstopped; the same command goes on from here", file=sys.stderr)  # noqa: T201
    return max(codes, default=0)


def conf_folder() -> Path:
    """``conf/`` beside the checkout first, the one inside the wheel second."""
    package = Path(__file__).resolve().parent
    checkout = package.parents[1] / "conf"
    return checkout if (checkout / "config.yaml").is_file() else package / "conf"


# ---- argv


@cache
def verbs() -> "dict[str, type[BaseModel]]":
    """Every verb, and the options that it has."""
    from earthsnap_train.spec.job import Job

    return {get_args(kind.model_fields["verb"].annotation)[0]: kind for kind in get_args(get_args(Job)[0])}


def translate(arguments: Sequence[str]) -> list[str]:
    """Our command line in Hydra's words: flags, then overrides. Raises ConfigError for an unknown verb or flag."""
    flags, words = _apart(arguments)
    if {"--help", "-h"} & set(flags):
        return flags
    bare = [word for word in words if "=" not in word and not word.startswith(("+", "~"))]
    verb = bare[0] if bare else "train"
    if verb not in verbs():
        raise _no_verb(verb)
    if bare:
        words.remove(verb)
    options = set(verbs()[verb].model_fields) - {"verb"}
    overrides: list[str] = [f"job={verb}"] if verb != "train" else []
    photos: list[str] = []
    for word in words:
        key = word.partition("=")[0]
        if verb == "predict" and (word in bare or Path(word).exists()):
            photos.append(word)
        elif word in verbs():
            raise ConfigError(f"two verbs were given, {verb!r} and {word!r}", remedy="one at a time")
        elif word in bare:
            raise _no_verb(word)
        elif key == "experiment":
            overrides.append(f"+{word}")
        elif key in options:
            overrides.append(f"job.{_said(word)}")
        else:
            overrides.append(_opened(_at_home(word)))
    if photos:
        overrides.append(f"job.photos=[{','.join(map(_quoted, photos))}]")
    named = any(o.lstrip("+").startswith(("name=", "experiment=")) for o in overrides)
    if verb in NAMELESS and not named:
        overrides.append("name=any")
    return flags + overrides


def _apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """(flags with their values, all else): argparse takes overrides only where they stand together."""
    flags: list[str] = []
    words: list[str] = []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        name = argument.partition("=")[0]
        if argument in FLAGS:
            words.append(FLAGS[argument])
        elif not argument.startswith("-"):
            words.append(argument)
        elif argument in SWITCHES or name in VALUED:
            flags.append(argument)
            if argument in VALUED and left:
                flags.append(left.pop(0))
        else:
            known = [flag for flag in (*FLAGS, *SWITCHES, *VALUED) if flag.startswith("--")]
            raise ConfigError(f"no such flag: {name!r}", allowed=", ".join(known), remedy=did_you_mean(name, known))
    return flags, words


def _no_verb(word: str) -> ConfigError:
    return ConfigError(
        f"{word!r} is no verb, and all else has the form KEY=VALUE",
        allowed=", ".join(verbs()),
        remedy=did_you_mean(word, verbs()) or "earthsnap --help explains them",
    )


def _at_home(override: str) -> str:
    """A folder that begins with ``~``, as shells and people write it; Hydra's grammar has no such value."""
    key, _, value = override.partition("=")
    return f"{key}={_quoted(os.path.expanduser(value))}" if value == "~" or value.startswith("~/") else override  # noqa: PTH111


def _said(option: str) -> str:
    """What a person says in their own words is taken as it is, with commas, brackets and all."""
    key, sign, value = option.partition("=")
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return f"{key}={_quoted(value)}" if key == "why" and sign and not is_quoted else option


def _opened(override: str) -> str:
    """An override of a part that is open to new keys, so that nobody has to know which of them are there already."""
    key, sign, value = override.partition("=")
    if key in OPEN and value.startswith("{"):
        return f"++{override}"
    part = next((one for one in OPEN if key.startswith(f"{one}.")), None)
    if part is None or not sign:
        return override
    if "/" not in key:
        return f"++{override}"
    for name in reversed(key.removeprefix(f"{part}.").split(".")):  # Hydra's keys know no slash, the keys of a dict do
        value = f"{{{name}: {value}}}"
    return f"++{part}={value}"


def _quoted(text: str) -> str:
    """A file's name as Hydra and OmegaConf read it back, whatever is in it."""
    from hydra.core.override_parser.types import Quote, QuotedString

    plain = re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + r"\${", text)
    return QuotedString(text=plain, quote=Quote.single).with_quotes()


# ---- the door


def _perform(composed: Any) -> "Ended":
    """Tells every error itself, so that one job of a sweep never hides another's."""
    from hydra.core.hydra_config import HydraConfig

    from earthsnap_train.spec.unheard import check_heard

    def read() -> "RunSpec":
        spec = through_the_door(composed)
        check_heard(spec, HydraConfig.get().overrides.task)
        return spec

    return _perform_spec(read, show=composed.get("traceback") is True)


def _perform_declared(arguments: Sequence[str]) -> int:
    """A whole declaration from a file, as ``config.json`` in a run's folder is one: nothing is composed, nothing overridden."""
    from earthsnap_train.spec.validate import validate

    def read() -> "RunSpec":
        if len(arguments) != 1:
            raise ConfigError("a declaration is one file and nothing beside it", where="--declaration")
        try:
            plain = json.loads(Path(arguments[0]).read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"this is no declaration: {error}", where=arguments[0]) from error
        return validate(plain)

    return _perform_spec(read, show=False).code


def _perform_spec(read: "Callable[[], RunSpec]", *, show: bool) -> "Ended":
    from earthsnap_train.sweep.ended import Ended

    try:
        spec = read()
        show = show or spec.traceback
        from earthsnap_train.verbs import perform

        code, summary = perform(spec)
        return Ended(code=code, summary=summary)
    except EarthsnapError as error:
        return Ended(code=_tell(error, show=show), error=str(error).splitlines()[0])
    except KeyboardInterrupt:
        return Ended(code=130)
    except BrokenPipeError:
        return Ended(code=0)
    except Exception as error:
        if show:
            traceback.print_exc()
        bug = EarthsnapError(
            f"{type(error).__name__}: {error}",
            remedy="this is a bug of ours, please report it; --traceback shows where",
        )
        return Ended(code=_tell(bug, show=False), error=str(bug).splitlines()[0])


def through_the_door(composed: Any) -> "RunSpec":
    """DictConfig -> RunSpec. Raises ConfigError with the dotted key, what came, and the nearest name."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from earthsnap_train.spec.validate import validate

    try:
        missing = sorted(OmegaConf.missing_keys(composed))
        plain = {} if missing else OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        said = str(error.msg or error).splitlines()[0]
        raise ConfigError(said, where=error.full_key or "", remedy="--cfg job shows the whole config") from error
    if missing:
        instead = ", or an experiment: +experiment=plants" if missing[0].startswith(("name", "dataset.")) else ""
        raise ConfigError(
            "no value was given",
            where=missing[0],
            allowed=_comment_of(missing[0]),
            remedy=f"add {missing[0].removeprefix('job.')}=...{instead}",
        )
    assert isinstance(plain, dict)
    return validate(plain)  # type: ignore[arg-type]


def _comment_of(key: str) -> str:
    """What the comment beside a value that must be given says of it."""
    folder, _, leaf = key.replace(".", "/").rpartition("/")
    files = [conf_folder() / "config.yaml", *sorted((conf_folder() / folder.split("/")[0]).glob("*.yaml"))]
    for file in files:
        if found := re.search(rf"^\s*{leaf}: *\?\?\? +# *(.+)$", file.read_text(), re.MULTILINE):
            return found[1].strip()
    return ""


def _from_hydra(error: Exception, overrides: Sequence[str]) -> ConfigError:
    """Hydra's and OmegaConf's errors in our words: the nearest name instead of the advice to add a key that is not read."""
    from hydra.errors import MissingConfigException, OverrideParseException

    from earthsnap_train.spec.validate import no_such_key

    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, OverrideParseException):
        what = "cannot be read as KEY=VALUE"
        return ConfigError(what, where=error.override, remedy="put the value in quotes: 'key=\"a value\"'")
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        group, _, chosen = error.missing_cfg_file.rpartition("/")
        choices = sorted(set(error.options or ()) - {"base"})
        what = f"there is no {group} called {chosen!r}" if group else f"there is no config called {chosen!r}"
        return ConfigError(what, where=group, allowed=", ".join(choices), remedy=did_you_mean(chosen, choices))
    for override in overrides:
        key, sign, _ = override.partition("=")
        bare = key.lstrip("+~")
        if sign and f"'{bare}'" in said and bare.startswith("hydra.sweeper."):
            from earthsnap_train.sweep.settings import PREFIX, SweepSettings

            return no_such_key(bare, SweepSettings, PREFIX)
        if key == f"+{bare}" and f"values for {bare}." in said:
            return ConfigError("this is chosen already", where=bare, remedy=f"without the +: {override[1:]}")
        if sign and f"'{bare}'" in said and not bare.startswith("hydra."):
            return no_such_key(bare)
    return ConfigError(said, remedy="--help shows the choices, --cfg job the whole config")


def _tell(error: EarthsnapError, *, show: bool) -> int:
    if show:
        traceback.print_exception(error)
    print(f"error: {error}", file=sys.stderr)  # noqa: T201
    return error.exit_code


if __name__ == "__main__":
    main()
