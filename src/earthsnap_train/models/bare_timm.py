"""timm without Weights & Biases, which it would import for a logger of its own that nobody here uses.

That takes a second of every process that teaches or embeds, and W&B makes two folders among the system's temporary files
that a process which is ended leaves behind.
"""

import sys

_is_imported = "wandb" in sys.modules
if not _is_imported:
    sys.modules["wandb"] = None  # type: ignore[assignment]  # to timm it is not installed
try:
    import timm
    from timm.layers import convert_sync_batchnorm
finally:
    if not _is_imported:
        del sys.modules["wandb"]  # to all others it is

__all__ = ["convert_sync_batchnorm", "timm"]
