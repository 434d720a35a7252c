"""A realistic workload on the sample schema (sql/postgres/inventory.sql), at a paced rate.

What a shop does: orders come in, move from PENDING to DELIVERED, prices, stock and customers
change, stock moves to another warehouse (which changes a primary key), old orders are deleted with
their shipments, and now and then a transaction is rolled back. Each transaction touches one to a
few hundred rows with array parameters, so one connection reaches 10,000 rows/s and more; at a low
rate transactions are small, as in life.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, LiteralString, get_args

import psycopg
from pydantic import BaseModel

from ops.progress import Progress, silent
from ops.sample import CARRIERS, WAREHOUSES, shipment_id, tracking_number

Change = Literal["insert", "update", "delete"]
Ended = Literal["rows", "seconds", "stopped", "nothing left to delete"]
CHANGES: tuple[Change, ...] = get_args(Change)
#: Share of the rows each kind of change gets when all are asked for.
SHARES: dict[Change, int] = {"insert": 55, "update": 35, "delete": 10}
LARGEST_TRANSACTION = 500
TRANSACTIONS_PER_SECOND = 50
UNPACED_TRANSACTION = 250
ROLLED_BACK = 0.01
LONGEST_BURST_SECONDS = 0.5
REMEMBERED_ORDERS = 200_000
CONFLICTS_BEFORE_GIVING_UP = 20


class WorkloadResult(BaseModel):
    """What a workload committed. Rows are changes: one inserted, updated or deleted row each."""

    rows: int
    inserted: int
    updated: int
    deleted: int
    key_changes: int
    transactions: int
    rolled_back: int
    conflicts: int
    seconds: float
    rows_per_second: float
    asked_rate: int | None
    ended: Ended
    per_table: dict[str, int]


class Pacer:
    """A token bucket: lets `rate` rows a second through, in bursts of at most half a second.

    `rate` None lets everything through. Time that was lost (a slow database) is made up for only
    as far as a burst goes, so a stall is not followed by a flood.
    """

    def __init__(self, rate: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        if rate is not None and rate < 1:
            raise ValueError("the rate must be at least 1 row per second")
        self._rate = rate
        self._clock = clock
        self._due = clock()

    def delay(self, rows: int) -> float:
        """Seconds to wait now that `rows` more rows were sent."""
        if self._rate is None:
            return 0.0
        now = self._clock()
        self._due = max(self._due, now - LONGEST_BURST_SECONDS) + rows / self._rate
        return max(0.0, self._due - now)


def transaction_size(rng: random.Random, rate: int | None, left: int | None) -> int:
    """Rows of the next transaction: around rate / 50, at least 1, at most 500 and `left`."""
    mean = UNPACED_TRANSACTION if rate is None else rate / TRANSACTIONS_PER_SECOND
    size = round(rng.uniform(0.2, 1.8) * mean)
    return max(1, min(size, LARGEST_TRANSACTION, left or LARGEST_TRANSACTION))


@dataclass
class _Tally:
    """What has been committed so far."""

    started: float = field(default_factory=time.monotonic)
    changes: Counter[tuple[Change, str]] = field(default_factory=Counter)
    key_changes: int = 0
    transactions: int = 0
    rolled_back: int = 0
    conflicts: int = 0
    conflicts_in_a_row: int = 0

    @property
    def rows(self) -> int:
        return self.changes.total()

    def end(self, rows: int | None, seconds: float | None, stop: threading.Event) -> Ended | None:
        """Why the workload ends now, or None while it goes on."""
        if rows is not None and self.rows >= rows:
            return "rows"
        if seconds is not None and time.monotonic() - self.started >= seconds:
            return "seconds"
        return "stopped" if stop.is_set() else None

    def result(self, rate: int | None, ended: Ended) -> WorkloadResult:
        elapsed = time.monotonic() - self.started
        by_change: Counter[str] = Counter()
        by_table: Counter[str] = Counter()
        for (change, table), count in self.changes.items():
            by_change[change] += count
            by_table[table] += count
        return WorkloadResult(
            rows=self.rows,
            inserted=by_change["insert"],
            updated=by_change["update"],
            deleted=by_change["delete"],
            key_changes=self.key_changes,
            transactions=self.transactions,
            rolled_back=self.rolled_back,
            conflicts=self.conflicts,
            seconds=elapsed,
            rows_per_second=self.rows / elapsed if elapsed else 0.0,
            asked_rate=rate,
            ended=ended,
            per_table=dict(sorted(by_table.items())),
        )


class _Shop:
    """The workload's picture of the database, and the statements that change it.

    Ids are remembered instead of asked for before each transaction. Others may change the same
    rows meanwhile: statements count what they really touched, never what was intended.
    """

    def __init__(self, conn: psycopg.Connection, rng: random.Random) -> None:
        self._conn = conn
        self._rng = rng
        self.customers = self._ids("SELECT id FROM inventory.customers ORDER BY id")
        self.prices: dict[int, Decimal] = dict(
            conn.execute("SELECT id, price FROM inventory.products ORDER BY id").fetchall()
        )
        if not self.customers or not self.prices:
            raise ValueError(
                "inventory.customers or inventory.products is empty: fill the sample first"
            )
        self.moving: list[int] = []
        self.settled: list[int] = []
        self.remember_orders()
        self.stock: list[tuple[int, str]] = [
            (product, warehouse)
            for product, warehouse in conn.execute(
                "SELECT product_id, warehouse FROM inventory.inventory ORDER BY 1, 2"
            )
        ]

    def _ids(self, query: LiteralString) -> list[int]:
        return [row[0] for row in self._conn.execute(query)]

    def remember_orders(self) -> None:
        """Learn the newest orders: those still moving, and those that may be deleted."""
        rows = self._conn.execute(
            "SELECT id, status IN ('DELIVERED', 'CANCELLED') FROM ("
            " SELECT id, status FROM inventory.orders ORDER BY id DESC LIMIT %s) AS newest"
            " ORDER BY id",
            [REMEMBERED_ORDERS],
        ).fetchall()
        self.moving = [number for number, settled in rows if not settled]
        self.settled = [number for number, settled in rows if settled]

    def take(self, numbers: list[int], count: int) -> list[int]:
        """Remove up to `count` entries, chosen at random, and return them in ascending order."""
        taken = []
        for _ in range(min(count, len(numbers))):
            place = self._rng.randrange(len(numbers))
            # Swapping with the last is what makes removal from a long list cheap.
            numbers[place], numbers[-1] = numbers[-1], numbers[place]
            taken.append(numbers.pop())
        return sorted(taken)


class _Transaction:
    """One open transaction: what it did so far, and what the shop knows once it has ended."""

    def __init__(self, conn: psycopg.Connection, shop: _Shop, rng: random.Random) -> None:
        self._conn = conn
        self._shop = shop
        self._rng = rng
        self.changes: Counter[tuple[Change, str]] = Counter()
        self.key_changes = 0
        self.on_commit: list[Callable[[], None]] = []
        self.on_rollback: list[Callable[[], None]] = []

    def fill(self, change: Change, size: int, *, with_inserts: bool) -> None:
        """Make around `size` row changes of one kind; updates make shipments if `with_inserts`."""
        if change == "insert":
            self.insert_orders(size)
        elif change == "delete":
            self.delete_orders(size)
        else:
            kinds = ("orders", "prices", "customers", "stock", "key")
            kind = self._rng.choices(kinds, (80, 6, 6, 6, 2))[0]
            if kind == "orders" and self._shop.moving:
                self.move_orders(size, with_shipments=with_inserts)
            elif kind == "prices":
                self.change_prices(min(size, 20))
            elif kind == "stock" and self._shop.stock:
                self.count_stock(min(size, 20))
            elif kind == "key" and self._shop.stock:
                self.move_stock()
            else:
                self.change_customers(min(size, 20))

    def _take(self, numbers: list[int], count: int) -> list[int]:
        chosen = self._shop.take(numbers, count)
        self.on_rollback.append(lambda: numbers.extend(chosen))
        return chosen

    def _run(
        self, change: Change, table: str, statement: LiteralString, values: Sequence[Any]
    ) -> psycopg.Cursor[Any]:
        cursor = self._conn.execute(statement, values, prepare=True)
        self.changes[change, table] += cursor.rowcount
        return cursor

    def insert_orders(self, count: int) -> None:
        """New orders at today's prices."""
        shop, rng = self._shop, self._rng
        products = rng.choices(list(shop.prices), k=count)
        new = self._run(
            "insert",
            "orders",
            "INSERT INTO inventory.orders (purchaser, quantity, product_id, unit_price)"
            " SELECT * FROM unnest(%s::bigint[], %s::int[], %s::bigint[], %s::numeric[])"
            " RETURNING id",
            [
                rng.choices(shop.customers, k=count),
                rng.choices((1, 2, 3, 4, 5), (50, 25, 12, 8, 5), k=count),
                products,
                [shop.prices[product] for product in products],
            ],
        )
        numbers = [row[0] for row in new]
        self.on_commit.append(lambda: shop.moving.extend(numbers))

    def move_orders(self, count: int, *, with_shipments: bool) -> None:
        """Orders take their next step; their shipments are made and delivered with them."""
        shop, rng = self._shop, self._rng
        chosen = self._take(shop.moving, count)
        cancelled = [number for number in chosen if rng.random() < 0.02]
        moved = self._run(
            "update",
            "orders",
            "UPDATE inventory.orders SET status = CASE"
            " WHEN id = ANY(%s) AND status IN ('PENDING', 'CONFIRMED') THEN 'CANCELLED'"
            " WHEN status = 'PENDING' THEN 'CONFIRMED'"
            " WHEN status = 'CONFIRMED' THEN 'SHIPPED'"
            " WHEN status = 'SHIPPED' THEN 'DELIVERED'"
            " ELSE status END"
            " WHERE id = ANY(%s) RETURNING id, status",
            [cancelled, chosen],
        ).fetchall()
        moved.sort()
        shipped = [number for number, status in moved if status == "SHIPPED"]
        delivered = [number for number, status in moved if status == "DELIVERED"]
        if shipped and with_shipments:
            carriers = rng.choices(CARRIERS, k=len(shipped))
            self._run(
                "insert",
                "shipments",
                "INSERT INTO inventory.shipments (id, order_id, carrier, tracking_number, cost)"
                " SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::text[],"
                " %s::numeric[])",
                [
                    [shipment_id(order) for order in shipped],
                    shipped,
                    carriers,
                    list(map(tracking_number, carriers, shipped)),
                    [Decimal(rng.randint(390, 2_490)) / 100 for _ in shipped],
                ],
            )
        if delivered:
            self._run(
                "update",
                "shipments",
                "UPDATE inventory.shipments SET delivered_at = now()"
                " WHERE order_id = ANY(%s) AND delivered_at IS NULL",
                [delivered],
            )
        settled = {number for number, status in moved if status in ("DELIVERED", "CANCELLED")}
        self.on_commit.append(lambda: shop.settled.extend(sorted(settled)))
        self.on_commit.append(
            lambda: shop.moving.extend(number for number, _ in moved if number not in settled)
        )

    def change_prices(self, count: int) -> None:
        """Products get dearer or cheaper by up to a tenth."""
        shop, rng = self._shop, self._rng
        chosen = sorted(rng.sample(list(shop.prices), min(count, len(shop.prices))))
        cent = Decimal("0.01")
        prices = {
            product: max(
                Decimal(1), (shop.prices[product] * rng.randint(90, 110) / 100).quantize(cent)
            )
            for product in chosen
        }
        self._run(
            "update",
            "products",
            "UPDATE inventory.products AS product SET price = new.price"
            " FROM unnest(%s::bigint[], %s::numeric[]) AS new (id, price)"
            " WHERE product.id = new.id",
            [list(prices), list(prices.values())],
        )
        self.on_commit.append(lambda: shop.prices.update(prices))

    def change_customers(self, count: int) -> None:
        """Customers move up a tier, get a new phone, change their mind about the newsletter."""
        chosen = sorted(
            self._rng.sample(self._shop.customers, min(count, len(self._shop.customers)))
        )
        self._run(
            "update",
            "customers",
            "UPDATE inventory.customers SET newsletter = NOT newsletter, phone = %s,"
            " loyalty_tier = CASE loyalty_tier WHEN 'STANDARD' THEN 'SILVER' ELSE 'GOLD' END"
            " WHERE id = ANY(%s)",
            [f"+1-555-{self._rng.randrange(10_000_000):07d}", chosen],
        )

    def count_stock(self, count: int) -> None:
        """Stock is counted, with a result."""
        shop, rng = self._shop, self._rng
        chosen = sorted(rng.sample(shop.stock, min(count, len(shop.stock))))
        self._run(
            "update",
            "inventory",
            "UPDATE inventory.inventory AS stock"
            " SET on_hand = new.on_hand, last_counted = current_date"
            " FROM unnest(%s::bigint[], %s::text[], %s::int[])"
            " AS new (product_id, warehouse, on_hand)"
            " WHERE (stock.product_id, stock.warehouse) = (new.product_id, new.warehouse)",
            [
                [product for product, _ in chosen],
                [warehouse for _, warehouse in chosen],
                [rng.randint(0, 5_000) for _ in chosen],
            ],
        )

    def move_stock(self) -> None:
        """One product's stock goes to a warehouse without any of it: its primary key changes."""
        shop, rng = self._shop, self._rng
        product, old = rng.choice(shop.stock)
        held = {warehouse for number, warehouse in shop.stock if number == product}
        free = [warehouse for warehouse in WAREHOUSES if warehouse not in held]
        if not free:
            return
        new = rng.choice(free)
        cursor = self._run(
            "update",
            "inventory",
            "UPDATE inventory.inventory SET warehouse = %s WHERE product_id = %s AND warehouse = %s"
            " AND NOT EXISTS (SELECT FROM inventory.inventory"
            " WHERE product_id = %s AND warehouse = %s)",
            [new, product, old, product, new],
        )
        self.key_changes += cursor.rowcount

        def remember() -> None:
            shop.stock[shop.stock.index((product, old))] = (product, new)

        self.on_commit.append(remember)

    def delete_orders(self, count: int) -> None:
        """Orders go for good, with their shipments."""
        shop = self._shop
        # Nothing settled yet (a fresh table under a heavy mix): a shop cancels by deleting, too.
        chosen = self._take(shop.settled, count) or self._take(shop.moving, count)
        for table, statement in (
            ("shipments", "DELETE FROM inventory.shipments WHERE order_id = ANY(%s)"),
            ("orders", "DELETE FROM inventory.orders WHERE id = ANY(%s)"),
        ):
            self._run("delete", table, statement, [chosen])


def run(
    dsn: str,
    *,
    rate: int | None = None,
    seconds: float | None = None,
    rows: int | None = None,
    mix: Collection[Change] = CHANGES,
    seed: int = 1,
    progress: Progress = silent,
    stop: threading.Event | None = None,
) -> WorkloadResult:
    """Change the sample schema until `rows` are committed, `seconds` have passed or `stop` is set.

    Args:
        dsn: where the source is, as libpq reads it; the role needs to write schema `inventory`.
        rate: rows per second to hold; None runs as fast as one connection goes.
        seconds: how long; None has no limit.
        rows: how many row changes to commit. Inserts alone end on it exactly; with others the last
            transaction may exceed it by the shipments of its orders.
        mix: the kinds of change to make. Without inserts, shipped orders get no shipment.
        seed: the same seed on the same start state makes the same changes in the same order.
        progress: told the committed rows after every transaction.
        stop: set it from another thread to end after the current transaction.

    Raises ValueError for a wrong argument or an empty sample, psycopg.Error where the source
    can't be reached or refuses. Conflicts with other writers (deadlocks, a row that is gone) are
    rolled back and counted; 20 in a row raise the last.
    """
    if not mix or set(mix) - set(CHANGES):
        raise ValueError(f"mix takes {', '.join(CHANGES)}, at least one; not {sorted(mix)}")
    if seconds is None and rows is None and stop is None:
        raise ValueError("say when the workload ends: rows, seconds or stop")
    pacer = Pacer(rate)
    stop = stop or threading.Event()
    rng = random.Random(seed)  # noqa: S311  a workload, nothing secret
    kinds = [change for change in CHANGES if change in mix]
    weights = [SHARES[kind] for kind in kinds]
    tally = _Tally()
    with psycopg.connect(dsn, autocommit=True, application_name="cdc-load") as conn:
        shop = _Shop(conn, rng)
        while (ended := tally.end(rows, seconds, stop)) is None:
            if kinds == ["delete"] and not shop.settled and not shop.moving:
                shop.remember_orders()
                if not shop.settled and not shop.moving:
                    ended = "nothing left to delete"
                    break
            change = rng.choices(kinds, weights)[0]
            size = transaction_size(rng, rate, None if rows is None else rows - tally.rows)
            done = _transact(conn, shop, rng, tally, change, size, "insert" in kinds)
            progress("rows", tally.rows, rows)
            stop.wait(pacer.delay(done))
    return tally.result(rate, ended)


def _transact(
    conn: psycopg.Connection,
    shop: _Shop,
    rng: random.Random,
    tally: _Tally,
    change: Change,
    size: int,
    with_inserts: bool,
) -> int:
    """Run one transaction into `tally`; return the rows it committed."""
    abandon = rng.random() < ROLLED_BACK
    transaction = _Transaction(conn, shop, rng)
    try:
        with conn.transaction():
            transaction.fill(change, size, with_inserts=with_inserts)
            if abandon:
                raise psycopg.Rollback
    except (psycopg.errors.TransactionRollback, psycopg.errors.IntegrityError):
        tally.conflicts += 1
        tally.conflicts_in_a_row += 1
        if tally.conflicts_in_a_row == CONFLICTS_BEFORE_GIVING_UP:
            raise
        abandon = True
    else:
        tally.conflicts_in_a_row = 0
        tally.rolled_back += abandon
    for learn in transaction.on_rollback if abandon else transaction.on_commit:
        learn()
    if abandon:
        return 0
    tally.changes += transaction.changes
    tally.key_changes += transaction.key_changes
    tally.transactions += 1
    return transaction.changes.total()
