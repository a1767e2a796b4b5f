"""Several releases in one process, each loaded and unloaded by a name of the caller's."""

import gc
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from earthsnap_train.errors import EarthsnapError
from earthsnap_train.serving.app import create_app
from earthsnap_train.serving.refusal import Refusal
from earthsnap_train.serving.server import open_service, start_of
from earthsnap_train.serving.service import Service
from earthsnap_train.spec.serving import Serving

_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Model:
    """``url``: the folder that it was loaded from, as the caller wrote it."""

    url: str
    service: Service
    app: ASGIApp


class Loaded:
    """``root``: no release is loaded from outside of it.

    The model files of all releases together take ``settings.max_models_mb`` at most. Nothing is put out to make room: that
    is for the caller, who knows what is still wanted.
    """

    def __init__(self, root: Path, settings: Serving) -> None:
        self.settings = settings
        self.draining = threading.Event()
        self._root = root.resolve()
        self._models: dict[str, Model] = {}
        self._num_bytes: dict[str, int] = {}  # of those too that are being loaded just now
        self._lock = threading.Lock()

    @property
    def models(self) -> Mapping[str, Model]:
        with self._lock:
            return dict(sorted(self._models.items()))

    def get(self, name: str) -> Model:
        """Raises Refusal (404)."""
        with self._lock:
            if name not in self._models:
                raise Refusal(404, "not_loaded", f"no model is loaded as {name[:200]!r}")
            return self._models[name]

    def load(self, name: str, url: str) -> None:
        """Takes seconds. Verifies every file of the release before it opens any.

        Raises Refusal: 400 outside of the root, 409 for a name that is taken, 422 for what is no whole release or cannot be
        read, 507 where there is no room.
        """
        folder = Path(url).resolve()
        if not Path(url).is_absolute() or not folder.is_relative_to(self._root):
            raise Refusal(400, "not_here", f"models are loaded from below {self._root} alone")
        try:
            num_bytes = sum(file.stat().st_size for file in folder.rglob("*.onnx"))
        except OSError as error:
            raise Refusal(422, "no_release", f"{folder} cannot be read: {error.strerror}") from error
        self._reserve(name, num_bytes)
        try:
            # All of it is opened: its files fit, for there is room for them.
            service = open_service(start_of(str(folder), find=None, journal=None, serving=self.settings))
        except BaseException as error:
            with self._lock:
                del self._num_bytes[name]
            if isinstance(error, MemoryError):
                raise Refusal(507, "no_memory", "the memory is too small for this model") from error
            if isinstance(error, EarthsnapError):
                raise Refusal(422, "no_release", error.what) from error
            raise
        with self._lock:
            self._models[name] = Model(url=url, service=service, app=create_app(service))
            if self.draining.is_set():
                service.draining.set()

    def unload(self, name: str) -> None:
        """What it had begun is still answered. Raises Refusal (404)."""
        model = self.get(name)
        with self._lock:
            if self._models.pop(name, None) is None:
                return
            del self._num_bytes[name]
        model.service.close()
        del model
        gc.collect()  # the caller counts on the memory: it may have been asked to make room

    def drain(self) -> None:
        """From now on new work is refused."""
        self.draining.set()
        for model in self.models.values():
            model.service.draining.set()

    def close(self) -> None:
        for model in self.models.values():
            model.service.close()

    def _reserve(self, name: str, num_bytes: int) -> None:
        max_mb = self.settings.max_models_mb
        with self._lock:
            if name in self._num_bytes:
                raise Refusal(409, "loaded", f"a model is loaded as {name!r} already")
            if num_bytes + sum(self._num_bytes.values()) > max_mb * _MIB:
                taken = sum(self._num_bytes.values()) / _MIB
                what = f"{num_bytes / _MIB:.1f} MB beside {taken:.1f} are more than serving.max_models_mb={max_mb:g}"
                raise Refusal(507, "no_memory", what)
            self._num_bytes[name] = num_bytes
