"""The YAML files of a sweep, as they were when it began: no later edit reaches a job that has not run yet."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from omegaconf import DictConfig

from earthsnap_train.sweep.record import CONF, FILE, Source

SUFFIXES = (".yaml", ".yml")


def take(config: DictConfig, folder: Path) -> tuple[Source, ...]:
    """Copies every folder of YAML files that this command was composed from into the sweep's own."""
    sources = []
    for at, source in enumerate(config.hydra.runtime.config_sources):
        place = f"{source.schema}://{source.path}"
        if source.schema == "file":
            place = f"{CONF}/{at}-{source.provider.replace(' ', '-')}"
            _copy(Path(source.path), folder / place)
        sources.append(Source(provider=source.provider, place=place))
    return tuple(sources)


def loader(sources: Sequence[Source], folder: Path) -> ConfigLoaderImpl:
    """Composes from the copies alone."""
    path = ConfigSearchPathImpl()
    for source in sources:
        is_copy = "://" not in source.place
        path.append(source.provider, f"file://{(folder / source.place).resolve()}" if is_copy else source.place)
    return ConfigLoaderImpl(path)


def _copy(origin: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for file in _yaml_files(origin):
        copy = target / file.relative_to(origin)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _yaml_files(origin: Path) -> Iterator[Path]:
    """Not those of other sweeps, which lie below it where somebody's ``--config-dir`` is the folder of everything."""
    for place, folders, files in os.walk(origin):
        if FILE in files:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place) / name for name in files if name.endswith(SUFFIXES))
