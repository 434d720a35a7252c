"""Where services run."""

from __future__ import annotations

from typing import Literal

from platforms.service import Platform

Name = Literal["local", "docker"]


def choose(platform: Name, stack: str) -> Platform:
    """The stack's platform; the others' libraries are not even read."""
    if platform == "docker":
        from platforms.docker import DockerPlatform

        return DockerPlatform(stack)
    from platforms.local import LocalPlatform

    return LocalPlatform(stack)
