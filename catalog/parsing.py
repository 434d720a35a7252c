"""The SQL that turns Debezium's messages into checked rows, in steps.

ClickHouse plans the text of a view anew for every block that passes, so a table's latency is what
its views cost to plan: the steps are views of their own, with tables that keep nothing between
them, because plain columns are far cheaper to plan on than aliases and subqueries; and columns of
one type are decoded together (docs/benchmarks.md, "Latency").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from catalog.model import CaptureOptions, Column, SourceTable
from catalog.names import ch_ident, ch_string
from catalog.types import TypeMapping
from catalog.types.registry import mappings

_TEMPLATES = Path(__file__).parent.parent / "sql" / "clickhouse"
TIME = "DateTime64(3, 'UTC')"
LOADED = "initial load"
"""In place of the topic of a dead letter: a copied row (catalog/loading.py), not a message."""

# The message and where it came from: what every step hands on. An INSERT goes by their order.
_ORIGIN: tuple[tuple[str, str], ...] = (
    ("_message", "String"),
    ("_topic", "LowCardinality(String)"),
    ("_partition", "UInt64"),
    ("_offset", "UInt64"),
    ("_replayed", "UInt8"),
)
# After read.sql, behind where it came from: the head, and the image as texts.
READ: tuple[tuple[str, str], ...] = (
    ("operation", "String"),
    ("_committed_ms", "Nullable(Int64)"),
    ("_sent_ms", "Nullable(Int64)"),
    ("_position", "Nullable(UInt64)"),
    ("_preceding", "Nullable(UInt64)"),
    ("_transaction", "Nullable(UInt64)"),
    ("_keys", "Array(String)"),
    ("_expected", "UInt8"),
    ("_values", "Array(Nullable(String))"),
)
_CHANGE: tuple[tuple[str, str], ...] = (
    ("operation", "String"),
    ("source_ts_ms", TIME),
    ("processing_ts_ms", TIME),
    ("_lsn", "UInt64"),
    ("_txid", "UInt64"),
)
# After decode.sql, beside the groups of values.
DECODED: tuple[tuple[str, str], ...] = (
    *_CHANGE,
    ("_preceding_lsn", "UInt64"),
    ("_whole", "UInt8"),
    ("_complete", "UInt8"),
    ("_unreadable", "UInt8"),
    ("_familiar", "UInt8"),
    *_ORIGIN,
)
# After name.sql, beside the columns.
PARSED: tuple[tuple[str, str], ...] = (
    *_CHANGE,
    ("_version", "UInt128"),
    ("_deleted", "UInt8"),
    ("_applied", "UInt8"),
    ("_suspect", "UInt8"),
    *_ORIGIN,
)
# Rows that need a second look, on their way to the dead letters and the truncates.
ASIDE: tuple[tuple[str, str], ...] = (
    ("operation", "String"),
    ("source_ts_ms", TIME),
    ("_lsn", "UInt64"),
    ("_txid", "UInt64"),
    ("_version", "UInt128"),
    ("_applied", "UInt8"),
    ("_suspect", "UInt8"),
    *_ORIGIN,
)
# Of a table without a key: whether a row is put in (1) or taken out (-1).
SIGN = (("_sign", "Int8"),)

_OPERATION = "tupleElement(_head, 'op')"
_BOTH = (
    f"arrayJoin(CAST(multiIf({_OPERATION} = 'u', [-1, 1], {_OPERATION} = 'd', [-1], [1]), "
    "'Array(Int8)')) AS _sign"
)

# A column's name in an expression: quoted, or a word that is not called.
WORD = re.compile(r"`((?:[^`\\]|\\.)+)`|\b([A-Za-z_]\w*)\b(?!\s*\()")


# Of a value's text, what was made of it, and whether its column needs one.
_UNREADABLE = "isNull(_made) AND (_needed OR isNotNull(_text))"


def shown(text: str) -> str:
    """SQL: what a reason says behind the name of a column that can't take a text."""
    return f"ifNull(concat('=', substringUTF8({text}, 1, 60)), ' is null')"


def not_computed(*columns: str) -> str:
    """The reason where generated columns are what fails."""
    return f"{', '.join(columns)} can't be computed"


def sql(template: str, **values: str) -> str:
    """The text of `sql/clickhouse/<template>.sql` with its `$placeholders` filled in."""
    text = (_TEMPLATES / f"{template}.sql").read_text(encoding="utf-8")
    return Template(text).substitute(values).rstrip("\n")


@dataclass(frozen=True)
class _Group:
    """Columns that are decoded alike. `mask` picks their values out of the image's."""

    name: str
    mapping: TypeMapping
    columns: tuple[Column, ...]
    mask: str

    @property
    def texts(self) -> str:
        return f"arrayFilter((_text, _of) -> _of, _values, {self.mask})"

    @property
    def values(self) -> str:
        return f"arrayMap(_text -> {self.mapping.decode('_text')}, {self.texts})"

    @property
    def needed(self) -> str:
        """For each column, whether NULL is no value of it."""
        return str([int(not column.nullable) for column in self.columns])


class Parser:
    """The steps for one table.

    Args:
        slot_lsn: the position at which the slot was created, a lower bound of every change that
            it streams.

    Raises UnsupportedType for a column whose type has no mapping.
    """

    def __init__(self, source: SourceTable, options: CaptureOptions, slot_lsn: int) -> None:
        self._source = source
        self._generated = options.generated
        self._slot_lsn = slot_lsn
        self.types = mappings(source.qualified, source.columns)
        self.carried = [column for column in source.columns if column.generated is None]
        self.groups = self._grouped()
        self._stored = {name: ch_ident(stored) for name, stored in source.stored.items()}
        self._sign = () if source.key else SIGN
        self._required = array([column.name for column in self.carried])
        self._known = array([column.name for column in source.columns])

    def columns_read(self) -> tuple[tuple[str, str], ...]:
        """Columns of the table after read.sql."""
        return (*_ORIGIN, *self._sign, *READ)

    def columns_aside(self) -> tuple[tuple[str, str], ...]:
        """Columns of the table after aside_mv.sql."""
        return (*ASIDE, *self._sign)

    def columns_decoded(self) -> tuple[tuple[str, str], ...]:
        """Columns of the table between decode.sql and name.sql."""
        return (
            *((g.name, f"Array({g.mapping.parsed})") for g in self.groups),
            *DECODED,
            *self._sign,
        )

    def columns_parsed(self) -> tuple[tuple[str, str], ...]:
        """Columns of the table after name.sql."""
        return (
            *((stored, self.types[name].parsed) for name, stored in self._source.stored.items()),
            *PARSED,
            *self._sign,
        )

    def messages(self, inputs: Sequence[str], source: str) -> str:
        """`inputs` are expressions that give `_message` and the other columns of its origin.

        A change of a row without a key is the row it was, taken out, and the row it is, put in.
        """
        return self._read([*inputs, _BOTH] if self._sign else inputs, source)

    def aside(self, source: str) -> str:
        return sql("aside_mv", parsed=source, sign=self._handed_on)

    def _read(self, inputs: Sequence[str], source: str) -> str:
        return sql(
            "read",
            inputs="\n".join(f"    {each}," for each in inputs),
            field=self._image(_OPERATION),
            required=self._required,
            source=source,
        )

    def decode(self, source: str) -> str:
        unreadable = " OR ".join(
            f"arrayExists((_text, _made, _needed) -> {_UNREADABLE}, "
            f"{g.texts}, {g.name}, {g.needed})"
            for g in self.groups
        )
        return sql(
            "decode",
            groups="\n".join(f"    {g.values} AS {g.name}," for g in self.groups),
            dated=sql("dated"),
            required=self._required,
            known=self._known,
            unreadable=unreadable,
            sign=self._handed_on,
            source=source,
        )

    def name(self, source: str) -> str:
        place = {
            column.name: f"{group.name}[{i}]"
            for group in self.groups
            for i, column in enumerate(group.columns, start=1)
        }
        columns, computed = [], []
        for column in self._source.columns:
            value = place.get(column.name)
            if value is None:
                made = self.computed(column)
                value = self.narrowed(column)
                fits = f"isNotNull({self._stored[column.name]})"
                computed.append(f"({fits} OR isNull({made}))" if column.nullable else fits)
            columns.append(f"    {value} AS {self._stored[column.name]},")
        return sql(
            "name",
            columns="\n".join(columns),
            slot_lsn=str(self._slot_lsn),
            also_computed="".join(f" AND {each}" for each in computed),
            sign=self._handed_on,
            source=source,
        )

    def narrowed(self, column: Column) -> str:
        """The value of a generated column, NULL where its type can't hold it."""
        narrow = self.types[column.name].narrow
        assert narrow is not None, "catalog.objects.check refuses it"
        # A lambda, for the rule names its argument many times: copied, the expression would be
        # planned as often.
        return f"arrayMap(_made -> {narrow('_made')}, [{self.computed(column)}])[1]"

    def dead_letters(self, aside: str) -> str:
        """Of the rows in the table `aside`, those that are not in order, with the reason."""
        computed = [column.name for column in self._source.columns if column.generated is not None]
        inputs = [*(name for name, _ in (*_ORIGIN, *self._sign)), "_applied", "_suspect"]
        return sql(
            "dead_mv",
            source_name=ch_string(self._source.qualified),
            loaded=ch_string(LOADED),
            field=self._image("operation"),
            dated=sql("dated"),
            required=self._required,
            known=self._known,
            computed=ch_string(not_computed(*computed)),
            groups="\n".join(f"        {g.values} AS {g.name}," for g in self.groups),
            reasons=",\n".join(
                f"            arrayFilter(_said -> _said != '', arrayMap((_column, _text, _made, "
                f"_needed) -> if({_UNREADABLE}, concat(_column, {shown('_text')}), ''), "
                f"{array([c.name for c in g.columns])}, {g.texts}, {g.name}, {g.needed}))"
                for g in self.groups
            ),
            read=self._read(inputs, aside),
        )

    def _image(self, operation: str) -> str:
        """Which image of a message a row is made of."""
        before = "_sign < 0" if self._sign else f"{operation} = 'd'"
        return f"if({before}, 'before', 'after')"

    @property
    def _handed_on(self) -> str:
        return "".join(f"\n    {name}," for name, _ in self._sign)

    def _grouped(self) -> list[_Group]:
        alike: dict[str, list[Column]] = {}
        for column in self.carried:
            alike.setdefault(self.types[column.name].decode("_text"), []).append(column)
        return [
            _Group(
                f"_values_{i}",
                self.types[columns[0].name],
                tuple(columns),
                str([int(column in columns) for column in self.carried]),
            )
            for i, columns in enumerate(alike.values())
        ]

    def computed(self, column: Column) -> str:
        """The expression of a generated column; its names are the other columns' values."""
        # ClickHouse throws where a product of decimals overflows, which would stop the table.
        # Inside the lambda the decimals carry 76 digits under their own names.
        expression = self._generated[column.name]
        words = {quoted or plain for quoted, plain in WORD.findall(expression)}
        bound = []
        for carried in self.carried:
            widen, stored = self.types[carried.name].widen, self._stored[carried.name]
            if carried.name in words and (widen or stored != ch_ident(carried.name)):
                bound.append((ch_ident(carried.name), widen(stored) if widen else stored))
        if not bound:
            return f"({expression})"
        names = ", ".join(name for name, _ in bound)
        arrays = ", ".join(f"[{value}]" for _, value in bound)
        return f"arrayMap(({names}) -> ({expression}), {arrays})[1]"


def array(names: Sequence[str]) -> str:
    """A ClickHouse array of strings."""
    return f"[{', '.join(map(ch_string, names))}]"
