"""The toy objective with our configuration and our sweeper."""

import math
import time
from pathlib import Path
from typing import Any

import hydra

from earthsnap_train.__main__ import conf_folder
from earthsnap_train.sweep.ended import Ended


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")
def job(config: Any) -> Ended:
    with Path("ran.txt").open("a") as ran:
        ran.write(f"{config.training.lr!r}\n")
    time.sleep(0.5)
    return Ended(code=0, summary={"family": {"top1": 1 - abs(math.log10(config.training.lr) + 2) / 10}})


if __name__ == "__main__":
    job()
