"""A program with our configuration and our sweeper, whose jobs take a moment and know their figures at once.

``toy.py [FLAGS] [OVERRIDES]``. Each job adds a line to ``ran.txt``. Its figure is best at lr=0.01; one with batch_size=13
fails. The file ``wait`` beside it, while it is there, keeps jobs from ending, from the number in it on.
"""

import math
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import hydra

from earthsnap_train.__main__ import conf_folder
from earthsnap_train.sweep.ended import Ended

CONF = Path(sys.argv.pop(1)) if len(sys.argv) > 1 and Path(sys.argv[1]).is_dir() else conf_folder()


def is_held() -> bool:
    with suppress(FileNotFoundError, ValueError):  # not there, or being written
        return len(Path("ran.txt").read_text().splitlines()) >= int(Path("wait").read_text())
    return False


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(config: Any) -> Ended:
    training = config.training
    with Path("ran.txt").open("a") as ran:
        ran.write(f"{training.lr} {training.batch_size} {training.num_epochs}\n")
    try:
        while is_held():
            time.sleep(0.02)
    except KeyboardInterrupt:
        return Ended(code=130)
    if training.batch_size == 13:
        return Ended(code=5, error="thirteen brings no luck")
    top1 = 1 - abs(math.log10(training.lr) + 2) / 10
    return Ended(
        code=0,
        summary={
            "family": {"top1": top1, "ece": training.lr},
            "release": {"name": f"toy-{training.lr}"},
            "folder": "nowhere",
        },
    )


if __name__ == "__main__":
    job()
