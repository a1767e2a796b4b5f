"""What the entry pipeline's job runs: ``python -m launchers.sagemaker.entry_job processing``.

It lays out what was sent, and runs our own command line on the declaration in it. What that leaves behind lies in the
job's output; a key to W&B is read from Secrets Manager here, and is in no definition, no file and no log.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from types import FrameType

from earthsnap_train.errors import ConfigError, EarthsnapError, IntegrityError
from earthsnap_train.pipeline.store import Store, stays_inside
from earthsnap_train.processes import LIFELINE_VARIABLE, end_with_lifeline
from launchers.sagemaker import places
from launchers.sagemaker.bucket import bucket_here
from launchers.sagemaker.clients import client, in_our_words
from launchers.sagemaker.entry_pipeline import ANY_VERSION
from launchers.sagemaker.home import bring_home
from launchers.sagemaker.job import MOST_CHARACTERS, STOPPED
from launchers.sagemaker.send import GIVEN, KEYS, STORE
from launchers.sagemaker.shelf import Done, Shelf
from launchers.sagemaker.stop import stop_run

NUM_LINES = 12


def main(arguments: list[str]) -> int:
    end_with_lifeline()
    root = Path(os.environ.get(places.ROOT_VARIABLE, places.ROOT))
    home = root / places.HOME_FOLDER
    try:
        with in_our_words():
            declaration = lay_out(root / places.PROCESSING_INPUTS / places.DECLARATION_CHANNEL, home)
            key = wandb_key()
        code, said = _run(declaration, home, key)
    except EarthsnapError as error:
        code, said = error.exit_code, str(error)
        print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201
    if code:
        place = root / "output" / "message"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(said[-MOST_CHARACTERS:])
    return code


def lay_out(channel: Path, home: Path) -> Path:
    """Puts everything where the declaration says that it is, and returns the declaration.

    Raises IntegrityError where what was sent would lead out of the folders that it is sent to.
    """
    sent = next(channel.rglob(places.DECLARATION_FILE)).parent
    root = sent.parents[1]  # below which keys are as they are in the bucket
    home.mkdir(parents=True, exist_ok=True)
    given = home / GIVEN
    given.mkdir(parents=True, exist_ok=True)
    for name, key in _outside(sent / places.OUTSIDE_FILE).items():
        (given / name).symlink_to(root / key)
    store = Store((home / STORE).resolve())
    store.root.mkdir(parents=True, exist_ok=True)
    if (given / "forgotten").exists():
        (file,) = (given / "forgotten").iterdir()
        shutil.copyfile(file, store.forgotten)
    if (sent / "groupings").is_dir():
        shutil.copytree(sent / "groupings", home / "groupings", dirs_exist_ok=True)
    declared = json.loads((sent / places.DECLARATION_FILE).read_bytes())
    version = os.environ.get(places.DATASET_VERSION_VARIABLE, ANY_VERSION)
    declared["launcher"]["dataset_version"] = None if version == ANY_VERSION else version
    _bring_last_manifest(declared["name"], store)
    place = home / places.DECLARATION_FILE
    place.write_text(json.dumps(declared, indent=1))
    return place


def _outside(file: Path) -> dict[str, str]:
    """Name -> its folder below the prefix."""
    outside: dict[str, str] = json.loads(file.read_bytes())
    for name, key in outside.items():
        if name not in KEYS and name != "forgotten":
            raise IntegrityError(f"{name!r} is nothing that a declaration is sent with", where=places.OUTSIDE_FILE)
        try:
            stays_inside(key)
        except ValueError as error:
            raise IntegrityError(str(error), where=f"{places.OUTSIDE_FILE}: {name}") from None
    return outside


def wandb_key() -> str | None:
    """None where no secret is named. Raises EnvironmentProblem where it cannot be read, ConfigError where it is no key."""
    name = os.environ.get(places.WANDB_SECRET_VARIABLE)
    if name is None:
        return None
    held = client("secretsmanager", region=None).get_secret_value(SecretId=name).get("SecretString", "")
    if held.startswith("{"):  # as the console makes them: names and values
        values = list(json.loads(held).values())
        held = values[0] if len(values) == 1 else ""
    if not held.strip():
        raise ConfigError(
            "this secret holds no key to W&B",
            where="launcher.wandb_secret",
            allowed="the key itself, or one name with the key as its value",
        )
    return str(held.strip())


def _bring_last_manifest(family: str, store: Store) -> None:
    shelf = Shelf(bucket_here(), name=os.environ[places.BUCKET_VARIABLE], prefix=os.environ[places.PREFIX_VARIABLE])
    content = bucket_here().read(f"{os.environ[places.PREFIX_VARIABLE]}/{places.head(family)}")
    if content is None:
        return
    artifact = shelf.find(Done.model_validate_json(content).key)
    if artifact is not None:
        store.set_head(family, "ingest", bring_home(artifact, shelf, store).key)


def _run(declaration: Path, home: Path, key: str | None) -> tuple[int, str]:
    """(exit code, the last that it said)."""
    reading, writing = os.pipe()
    environment = {**os.environ, LIFELINE_VARIABLE: str(reading), **({"WANDB_API_KEY": key} if key else {})}
    process = subprocess.Popen(
        [sys.executable, "-m", "earthsnap_train", "--declaration", str(declaration)], cwd=home, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", pass_fds=(reading,),
    )  # fmt: skip
    os.close(reading)
    asked: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        process.terminate()

    signal.signal(signal.SIGTERM, end)
    assert process.stdout is not None
    last: deque[str] = deque(maxlen=NUM_LINES)
    for line in process.stdout:
        print(line, end="", flush=True)  # noqa: T201
        last.append(line)
    code = process.wait()
    os.close(writing)
    if asked:  # nobody follows what it started any more
        for folder in sorted(home.glob("outputs/*/*/")):
            stop_run(folder, base=home)
        return STOPPED, "stopped, with all that it had started"
    return code, "".join(last)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
