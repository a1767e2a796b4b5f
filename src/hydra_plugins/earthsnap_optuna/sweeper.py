"""What Hydra sees of a sweep. Nothing is imported at the top that a start without ``-m`` would have to wait for."""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class EarthsnapSweeper(Sweeper):
    """``settings`` are checked when the sweep begins, by ``earthsnap_train.sweep.settings``: Hydra hides errors here."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def sweep(self, arguments: list[str]) -> None:
        from hydra_plugins.earthsnap_optuna._begin import begin

        assert self.hydra_context is not None
        assert self.config is not None
        begin(arguments, self.config, self.hydra_context, self.task_function)
