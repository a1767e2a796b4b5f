"""argv -> verb -> compose -> spec -> plan -> launch. The only file that knows Hydra.

``python -m earthsnap_train [VERB] [OVERRIDES]`` and the script ``earthsnap`` are one thing. The verb is taken out of argv
before Hydra sees it and becomes ``job=VERB``; an option of that verb may be given without its ``job.``; ``--json`` and
``--traceback`` are short for ``json=true`` and ``traceback=true``. All else is Hydra's own.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from earthsnap_train.errors import ConfigError, EarthsnapError, did_you_mean
from earthsnap_train.spec.job import Job

if TYPE_CHECKING:
    from earthsnap_train.spec.run import RunSpec

VERBS = {get_args(kind.model_fields["verb"].annotation)[0]: kind for kind in get_args(get_args(Job)[0])}
FLAGS = {"--json": "json=true", "--traceback": "traceback=true"}
# Verbs that are about this place rather than about one declaration need no family's name.
NAMELESS = ("status", "doctor", "schema", "gc", "predict")


def main() -> None:
    """Console entry point; leaves with the exit code of the error's kind (see ``errors``)."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: Sequence[str]) -> int:
    try:
        overrides = translate(arguments)
    except EarthsnapError as error:
        return _tell(error, show=False)
    # Hydra then raises its errors instead of printing them, so that they can be told as all others are.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    import hydra
    from hydra.errors import HydraException
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

    codes: list[int] = []

    @hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")
    def task(composed: DictConfig) -> Any:
        code, result = _perform(composed)
        codes.append(code)
        return result

    show = "traceback=true" in overrides
    sys.argv[1:] = overrides
    try:
        task()
    except (HydraException, OmegaConfBaseException) as error:
        if show:
            traceback.print_exc()
        return _tell(_from_hydra(error, overrides), show=False)
    return max(codes, default=0)


def conf_folder() -> Path:
    """``conf/`` beside the checkout first, the one inside the wheel second."""
    package = Path(__file__).resolve().parent
    checkout = package.parents[1] / "conf"
    return checkout if (checkout / "config.yaml").is_file() else package / "conf"


def translate(arguments: Sequence[str]) -> list[str]:
    """Our command line in Hydra's words. Raises ConfigError for an unknown verb."""
    verb, rest = "train", list(arguments)
    if rest and not rest[0].startswith(("-", "+", "~")) and "=" not in rest[0]:
        verb = rest.pop(0)
        if verb not in VERBS:
            near = did_you_mean(verb, VERBS)
            raise ConfigError(
                f"unknown verb {verb!r}", allowed=", ".join(VERBS), remedy=near or "earthsnap --help explains them"
            )
    options = set(VERBS[verb].model_fields) - {"verb"}
    overrides: list[str] = [f"job={verb}"] if verb != "train" else []
    photos: list[str] = []
    takes_value = False
    for argument in rest:
        key, _, value = argument.partition("=")
        if takes_value or argument.startswith("-"):
            takes_value = argument in (
                "--config-dir",
                "-cd",
                "--config-path",
                "-cp",
                "--config-name",
                "-cn",
                "--package",
                "-p",
                "--cfg",
                "-c",
                "--info",
                "-i",
            )
            overrides.append(FLAGS.get(argument, argument))
        elif verb == "predict" and (not value or Path(argument).exists()):
            photos.append(argument)
        elif key == "experiment":
            overrides.append(f"+{argument}")
        elif key in options:
            overrides.append(f"job.{argument}")
        else:
            overrides.append(argument)
    if photos:
        quoted = ",".join("'" + photo.replace("\\", "\\\\").replace("'", "\\'") + "'" for photo in photos)
        overrides.append(f"job.photos=[{quoted}]")
    named = any(o.lstrip("+").startswith(("name=", "experiment=")) for o in overrides)
    if verb in NAMELESS and not named:
        overrides.append("name=any")
    return overrides


def _perform(composed: Any) -> tuple[int, Any]:
    """(exit code, result); tells every error itself, so that one job of a sweep never hides another's."""
    show = bool(composed.get("traceback", False))
    try:
        spec = through_the_door(composed)
        from earthsnap_train import verbs

        return verbs.perform(spec)
    except EarthsnapError as error:
        return _tell(error, show=show), None
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)  # noqa: T201
        return 130, None
    except BrokenPipeError:
        return 0, None
    except Exception as error:
        if show:
            traceback.print_exc()
        return _tell(
            EarthsnapError(
                f"{type(error).__name__}: {error}",
                remedy="this is a bug of ours, please report it; --traceback shows where",
            ),
            show=False,
        ), None


def through_the_door(composed: Any) -> "RunSpec":
    """DictConfig -> RunSpec. Raises ConfigError with the dotted key, what came, and the nearest name."""
    from omegaconf import OmegaConf

    from earthsnap_train.spec.validate import validate

    missing = sorted(OmegaConf.missing_keys(composed))
    if missing:
        raise ConfigError(
            "no value was given",
            where=missing[0],
            allowed=_comment_of(missing[0]),
            remedy=f"add {_as_typed(missing[0])}=..., or an experiment: +experiment=plants",
        )
    plain = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(plain, dict)
    return validate(plain)  # type: ignore[arg-type]


def _as_typed(key: str) -> str:
    return key.removeprefix("job.")


def _comment_of(key: str) -> str:
    return "a lower-case name for the family of models, such as name=plants" if key == "name" else ""


def _from_hydra(error: Exception, overrides: Sequence[str]) -> ConfigError:
    """Hydra's and OmegaConf's errors in our words: the nearest name instead of the advice to add a key that is not read."""
    from earthsnap_train.spec.validate import known_keys

    text = str(error).strip()
    first = text.splitlines()[0]
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        mentioned = f"'{key}'" in text or f"key: {key}" in text or key in first
        if "=" in override and mentioned and key and key.split(".")[0] not in ("hydra",):
            group = conf_folder() / key.lstrip("/")
            if group.is_dir():
                choices = sorted(path.stem for path in group.glob("*.yaml") if path.stem != "base")
                chosen = override.partition("=")[2]
                return ConfigError(
                    f"there is no {key} called {chosen!r}",
                    where=key,
                    allowed=", ".join(choices),
                    remedy=did_you_mean(chosen, choices),
                )
            if "Could not override" in first or "not in struct" in text or "Key" in text:
                known = known_keys()
                return ConfigError(
                    "no such key",
                    where=key,
                    allowed="see the config: --cfg job",
                    remedy=did_you_mean(key, known) or _by_leaf(key, known),
                )
    return ConfigError(first, remedy="--help shows the choices, --cfg job the whole config")


def _by_leaf(key: str, known: Sequence[str]) -> str:
    leaf = key.rsplit(".", 1)[-1]
    same = [one for one in known if one.rsplit(".", 1)[-1] == leaf]
    return f"Did you mean {same[0]!r}?" if same else ""


def _tell(error: EarthsnapError, *, show: bool) -> int:
    if show:
        traceback.print_exception(error)
    print(f"error: {error}", file=sys.stderr)  # noqa: T201
    return error.exit_code


if __name__ == "__main__":
    main()
