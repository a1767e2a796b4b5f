"""The toy objective as a plain Hydra application for hydra-optuna-sweeper, with its study in SQLite."""

import math
import time
from pathlib import Path

import hydra
from omegaconf import DictConfig

CONFIG = """\
defaults:
  - override hydra/sweeper: optuna
  - override hydra/sweeper/sampler: tpe
lr: 0.1
hydra:
  output_subdir: null
  sweeper:
    study_name: toy
    storage: sqlite:///toy.db
    direction: maximize
    n_jobs: 1
    n_trials: 12
    sampler: {seed: 0}
    params: {lr: 'tag(log, interval(0.0001, 1))'}
"""
Path("conf").mkdir(exist_ok=True)
Path("conf/config.yaml").write_text(CONFIG)


@hydra.main(version_base="1.3", config_path=str(Path("conf").resolve()), config_name="config")
def job(config: DictConfig) -> float:
    with Path("ran.txt").open("a") as ran:
        ran.write(f"{config.lr!r}\n")
    time.sleep(0.5)
    return 1 - abs(math.log10(config.lr) + 2) / 10


if __name__ == "__main__":
    job()
