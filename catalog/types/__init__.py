"""Postgres type → ClickHouse type: how a value is decoded, and how both sides are compared.

`registry.py` says which types there are; `model.py` what every one of them must say of itself.
"""

from catalog.types.model import (
    COPY_SETTINGS,
    UNAVAILABLE,
    Load,
    Sql,
    TypeMapping,
    UnsupportedType,
)
from catalog.types.registry import mapping, mapping_of, supported_types

__all__ = [
    "COPY_SETTINGS",
    "UNAVAILABLE",
    "Load",
    "Sql",
    "TypeMapping",
    "UnsupportedType",
    "mapping",
    "mapping_of",
    "supported_types",
]
