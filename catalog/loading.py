"""The SQL of a table's initial load: what Postgres copies out, and how ClickHouse takes it in."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.model import CapturedTable, CaptureOptions, Column
from catalog.names import ch_ident, ch_qualified, ch_string, pg_ident
from catalog.parsing import LOADED, Parser, not_computed, shown, sql
from catalog.types import TypeMapping

_META = (
    "operation, source_ts_ms, processing_ts_ms, _lsn, _txid, _version, _deleted, _applied, "
    "_suspect, _message, _topic, _partition, _offset, _replayed"
)


@dataclass(frozen=True)
class Pages:
    """A part of a table's file: the rows whose CTID is in the pages `first` to below `end`.

    relation: quoted for Postgres; the table itself, or one of its partitions.
    """

    relation: str
    first: int
    end: int


class Loading:
    """The statements of one table's load.

    Raises UnsupportedType for a column whose type has no mapping.
    """

    def __init__(self, captured: CapturedTable, options: CaptureOptions) -> None:
        self._captured = captured
        # Where the slot began matters to streamed snapshot rows only.
        self._parser = Parser(captured.source, options, slot_lsn=0)
        self._stored = {name: ch_ident(each) for name, each in captured.source.stored.items()}
        self._copied = [
            # No column of a table is stored under a name like `_in1` (catalog.model.is_ours).
            _Copied(c, self._stored[c.name], f"_in{place}", self._parser.types[c.name])
            for place, c in enumerate(self._parser.carried, start=1)
        ]
        self._keyed = bool(captured.source.key)
        self._generated = [c for c in captured.source.columns if c.generated is not None]

    def copy(self, pages: Pages) -> str:
        """Postgres: one COPY that sends the rows of some pages as text.

        The session must have `catalog.types.COPY_SETTINGS`.
        """
        selected = ", ".join(each.selected for each in self._copied)
        # ONLY: the rows of a child that inherits belong to the child.
        return (
            f"COPY (SELECT {selected} FROM ONLY {pages.relation} WHERE ctid >= '({pages.first},0)'"
            f" AND ctid < '({pages.end},0)') TO STDOUT"
        )

    def insert(self, lsn: int, at_ms: int, place: int) -> str:
        """ClickHouse: takes what `copy` sends, as rows of version `lsn`; its data follows it.

        Args:
            lsn: the log position at which the load began.
            at_ms: when that was, in milliseconds since 1970.
            place: of the range among the load's; with a number within it, it tells the rows of a
                table without a key apart.
        """
        copied, generated = self._copied, self._generated
        unreadable = [each.unreadable for each in copied if each.may_fail]
        unreadable += [self._not_computed(column) for column in generated]
        reasons = [each.reason for each in copied if each.may_fail]
        reasons += [
            f"if({self._not_computed(column)}, {ch_string(not_computed(column.name))}, '')"
            for column in generated
        ]
        return sql(
            "load",
            parsed=ch_qualified(f"{self._captured.target}_parsed"),
            outputs=", ".join(
                [
                    *(each.name for each in copied),
                    *(self._stored[c.name] for c in generated),
                    _META if self._keyed else f"{_META}, _sign",
                ]
            ),
            names="".join(f"    {each.name},\n" for each in copied)
            + "".join(
                f"    {self._parser.narrowed(c)} AS {self._stored[c.name]},\n" for c in generated
            ),
            unreadable=" OR ".join(unreadable) or "false",
            reasons=",\n            ".join(["''", *reasons]),
            row=", ".join(
                f"{ch_string(each.column.name)}, toString({each.input})" for each in copied
            ),
            values=",\n".join(f"        {each.value} AS {each.name}" for each in copied),
            structure=ch_string(
                ", ".join(f"{each.input} Nullable({each.mapping.load.input})" for each in copied)
            ),
            lsn=str(lsn),
            at_ms=str(at_ms),
            topic=ch_string(LOADED),
            place=str(place),
            number="_lsn" if self._keyed else "if(_applied, rowNumberInAllBlocks(), _lsn)",
            sign="" if self._keyed else ",\n    toInt8(1) AS _sign",
        )

    def _not_computed(self, column: Column) -> str:
        nullable = f" AND isNotNull({self._parser.computed(column)})" if column.nullable else ""
        return f"(isNull({self._stored[column.name]}){nullable})"


@dataclass(frozen=True)
class _Copied:
    """A column that is copied. name: under which it is stored. input: its text's name."""

    column: Column
    name: str
    input: str
    mapping: TypeMapping

    @property
    def selected(self) -> str:
        return self.mapping.load.pg(pg_ident(self.column.name))

    @property
    def value(self) -> str:
        return self.mapping.load.ch(self.input)

    @property
    def may_fail(self) -> bool:
        """A value that the format itself reads, and that may be NULL, is always in order."""
        return not self.column.nullable or self.value != self.input

    @property
    def unreadable(self) -> str:
        given = f" AND isNotNull({self.input})" if self.column.nullable else ""
        return f"(isNull({self.name}){given})"

    @property
    def reason(self) -> str:
        said = f"concat({ch_string(self.column.name)}, {shown(f'toString({self.input})')})"
        return f"if({self.unreadable}, {said}, '')"
