"""Where the platform keeps things: the checkout, the cache of fetched parts, a stack's data.

Nothing here writes except through :func:`ensure`.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

ROOT_CACHE = Path("/var/cache/cdc")
ROOT_DATA = Path("/var/lib/cdc")


def is_root() -> bool:
    """True when this process runs as the superuser."""
    return os.geteuid() == 0


def project() -> Path:
    """The root of this checkout."""
    return Path(__file__).resolve().parent.parent


def _given(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else None


def cache() -> Path:
    """Folder of the fetched parts, shared by all checkouts of one user.

    $CDC_CACHE, else $XDG_CACHE_HOME/cdc, else /var/cache/cdc for root, else ~/.cache/cdc. Root's
    lies outside /root because Postgres, which refuses to run as root, runs as `nobody` from here.
    """
    if given := _given("CDC_CACHE"):
        return given
    if given := _given("XDG_CACHE_HOME"):
        return given / "cdc"
    return ROOT_CACHE if is_root() else Path.home() / ".cache" / "cdc"


def home(stack: str) -> Path:
    """Folder of one stack's runtime data (database files, logs, sockets).

    $CDC_HOME/STACK, else /var/lib/cdc/CHECKOUT-HASH/STACK for root (see :func:`cache` for why),
    else .cdc/STACK in the checkout. The hash keeps two checkouts of one name apart.
    """
    if given := _given("CDC_HOME"):
        return given / stack
    root = project()
    if is_root():
        digest = hashlib.sha256(str(root).encode()).hexdigest()[:8]
        return ROOT_DATA / f"{root.name}-{digest}" / stack
    return root / ".cdc" / stack


def ensure(folder: Path) -> Path:
    """Make a folder and its missing parents, and return it.

    Mode 0700 for a user. Root's are 0711: `nobody` may pass through to what it owns below, but
    not list what lies beside. Raises OSError where it can't be written.
    """
    missing = []
    step = folder
    while not step.exists():
        missing.append(step)
        step = step.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        new.chmod(0o711 if is_root() else 0o700)  # mkdir's own mode is cut by the umask
    return folder
