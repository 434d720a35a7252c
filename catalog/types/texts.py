"""What is kept as a text, or as bytes: whole, as Postgres shows it."""

from __future__ import annotations

from dataclasses import replace

from catalog.types.model import UNAVAILABLE, Sql, TypeMapping, native, read_by, same


def show(col: str) -> str:
    """What Postgres shows."""
    return f"{col}::text"


def available(raw: str) -> str:
    """The text itself, unless it stands for a value that the change did not carry."""
    return f"nullIf({raw}, '{UNAVAILABLE}')"


def from_base64(raw: str) -> str:
    """The bytes that Debezium sent in base64; NULL if it is none."""
    # tryBase64Decode answers '' for what it can't read; encoding again tells the two apart.
    value = f"tryBase64Decode({raw})"
    return f"if(base64Encode({value}) = {raw}, {value}, NULL)"


def text(decode: Sql = available, pg_text: Sql = show, clickhouse: str = "String") -> TypeMapping:
    return TypeMapping(
        clickhouse=clickhouse,
        decode=decode,
        pg_text=pg_text,
        ch_text=same,
        # What someone typed is what it is here: a copy has no unavailable values.
        load=native("String"),
        element=same,
        narrow=lambda sql: f"toString({sql})",
    )


def sent_as_bytes() -> TypeMapping:
    """Types that Debezium doesn't know: it sends their text as bytes."""
    return text(decode=lambda raw: available(from_base64(raw)))


def of_the_database() -> TypeMapping:
    """Composite, range and multirange types that somebody made: as `sent_as_bytes`.

    Debezium's driver looks a type up by its name alone: where another schema has an enum of that
    name, the text itself comes. No base64 begins like one.
    """

    def decode(raw: str) -> str:
        shown = f"substring({raw}, 1, 1) IN ('(', '[', '{{') OR {raw} = 'empty'"
        return available(f"if({shown}, {raw}, {from_base64(raw)})")

    return text(decode=decode)


def written_by(output: str) -> TypeMapping:
    """Types that `::text` shows in another way than their output function, which the stream and
    COPY use: inet with a netmask that says nothing, xml with a declaration.
    """
    return text(pg_text=lambda col: f"textin({output}({col}))")


def enum() -> TypeMapping:
    """A new label needs no new column type."""
    return replace(
        text(),
        clickhouse="LowCardinality(String)",
        plain="String",
        nullable="LowCardinality(Nullable(String))",
    )


def blank_padded() -> TypeMapping:
    # Trailing blanks of char(n) mean nothing, and Postgres drops them when it casts to text.
    return replace(text(), ch_text=lambda col: f"trim(TRAILING ' ' FROM {col})")


def uuid() -> TypeMapping:
    def decode(raw: str) -> str:
        # toUUIDOrNull reads a wrong hexadecimal digit as some other digit.
        value = f"toUUIDOrNull({raw})"
        return f"if(toString({value}) = {raw}, {value}, NULL)"

    return TypeMapping(
        clickhouse="UUID",
        decode=decode,
        pg_text=show,
        ch_text=lambda col: f"toString({col})",
        load=native("UUID"),
        element=decode,
        narrow=lambda sql: f"toUUIDOrNull(toString({sql}))",
    )


def bytea() -> TypeMapping:
    def from_hex(raw: str) -> str:
        return rf"if(startsWith({raw}, '\\x'), unhex(substring({raw}, 3)), NULL)"

    return TypeMapping(
        clickhouse="String",
        decode=lambda raw: available(from_base64(raw)),
        pg_text=lambda col: f"encode({col}, 'hex')",
        ch_text=lambda col: f"lower(hex({col}))",
        load=read_by(from_hex),
        element=from_hex,
        narrow=lambda sql: f"toString({sql})",
    )


def array_text() -> TypeMapping:
    """An array as Postgres shows it, whatever its dimensions and bounds."""

    def decode(raw: str) -> str:
        # Without the converter a JSON array would come, which has lost some of it.
        return rf"if(startsWith({raw}, '{{') OR match({raw}, '^\\[-?[0-9]+:'), {raw}, NULL)"

    return text(decode=decode)
