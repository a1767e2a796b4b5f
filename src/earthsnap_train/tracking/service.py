"""W&B's service as it is seen from here: where it is, whether there is a key to it, whether it answers."""

import configparser
import http.client
import netrc
import os
import threading
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

PROBE_TIMEOUT_S = 2.5
QUESTION = b'{"query": "query { serverInfo { cliVersionInfo } }"}'


def service_url() -> str:
    """By its variable, else as ``wandb login`` left it, else the public one."""
    if url := os.environ.get("WANDB_BASE_URL"):
        return url.rstrip("/")
    folder = Path(os.environ.get("WANDB_CONFIG_DIR") or Path.home() / ".config" / "wandb")
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read(folder / "settings")
    except (configparser.Error, UnicodeDecodeError):
        return "https://api.wandb.ai"
    return settings.get("default", "base_url", fallback="https://api.wandb.ai").rstrip("/")


def key_is_there() -> bool:
    """Whether W&B could sign in: by its variable, or by the login that ``wandb login`` left."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        hosts = netrc.netrc(os.environ.get("NETRC")).hosts
    except (FileNotFoundError, netrc.NetrcParseError):
        return False
    return any("wandb" in host or host == urlsplit(service_url()).hostname for host in hosts)


def answers(url: str, timeout_s: float = PROBE_TIMEOUT_S) -> bool:
    """Whether anything comes back within the time, names that cannot be looked up and trickling bytes included."""
    said: list[bool] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(f"{url}/graphql", QUESTION, {"Content-Type": "application/json"})  # noqa: S310
            urllib.request.urlopen(request, timeout=timeout_s).close()  # noqa: S310
        except urllib.error.HTTPError:
            said.append(True)  # a refusal is an answer
        except (OSError, ValueError, http.client.HTTPException):
            return
        else:
            said.append(True)

    # A thread of its own: looking up a name knows no time limit.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(timeout_s)
    return bool(said)
