"""The services' own configuration files, filled in."""

from __future__ import annotations

from pathlib import Path
from string import Template

CONFIGS = Path(__file__).parent.parent / "configs"


def config_file(path: str, **values: object) -> str:
    """`configs/<path>` with its `${NAME}` placeholders replaced.

    Raises:
        KeyError: a placeholder without a value.
        ValueError: a value without a placeholder, or a stray `$`.
    """
    template = Template((CONFIGS / path).read_text())
    if unused := values.keys() - set(template.get_identifiers()):
        raise ValueError(f"configs/{path} has no placeholder for {', '.join(sorted(unused))}")
    return template.substitute({name: str(value) for name, value in values.items()})
