"""Fills the sample schema (sql/postgres/inventory.sql) with a believable shop."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
from faker import Faker
from psycopg import sql

from ops.progress import Progress, silent

TABLES = ("customers", "products", "inventory", "orders", "shipments")
CATALOGUE: dict[str, tuple[tuple[int, int], tuple[str, ...]]] = {
    "Electronics": ((15, 900), ("Headphones", "Keyboard", "Monitor", "Router", "Speaker")),
    "Home": ((5, 250), ("Lamp", "Kettle", "Blanket", "Shelf", "Clock")),
    "Sports": ((8, 300), ("Racket", "Helmet", "Dumbbell", "Tent", "Bottle")),
    "Books": ((4, 60), ("Atlas", "Novel", "Cookbook", "Dictionary", "Guide")),
    "Toys": ((3, 90), ("Puzzle", "Robot", "Kite", "Blocks", "Train")),
}
MATERIALS = ("Oak", "Steel", "Linen", "Carbon", "Ceramic", "Bamboo", "Copper", "Wool")
WAREHOUSES = ("NORTH", "SOUTH", "WEST")
CARRIERS = ("DHL", "UPS", "FedEx", "DPD")
# Orders per hour of the day and per weekday (Monday first), relative: a shop that sleeps at night,
# peaks after work and is busiest towards the weekend.
HOURLY = (2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 11, 12, 11, 10, 10, 11, 13, 16, 18, 17, 13, 8, 4)
WEEKLY = (10, 9, 9, 10, 13, 15, 13)
ORDERED_OVER_DAYS = 120
SHIPMENTS = uuid.uuid5(uuid.NAMESPACE_DNS, "shipments.inventory.example.com")
COPIED_BETWEEN_REPORTS = 5_000


@dataclass(frozen=True)
class _Order:
    placed: datetime
    purchaser: int
    product: int
    quantity: int
    price: Decimal
    status: str
    changed: datetime
    shipped: datetime | None
    delivered: datetime | None


def seed(
    conn: psycopg.Connection,
    *,
    customers: int = 1_000,
    products: int = 200,
    orders: int = 20_000,
    seed: int = 1,
    until: datetime | None = None,
    progress: Progress = silent,
) -> dict[str, int]:
    """Fill the empty sample schema; return the rows written per table, {} if it holds any already.

    The same arguments write the same rows. `until` is the moment the shop's history ends: the
    present unless given, and then only dates differ from run to run. One transaction: all or
    nothing. Raises ValueError for counts that allow no order, and psycopg.errors.UndefinedTable
    where the schema was not created.
    """
    if customers < 1 or products < 1 or orders < 0:
        raise ValueError("the sample needs at least one customer and one product, and orders >= 0")
    rng = random.Random(seed)  # noqa: S311  sample data, nothing secret
    now = (until or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    with conn.transaction():
        if any(not _is_empty(conn, table) for table in TABLES):
            return {}
        prices = {number: _price(rng, number) for number in range(1, products + 1)}
        placed = _orders(rng, now, orders, customers, prices)
        counts = {
            "customers": _copy(
                conn,
                "customers",
                "id first_name last_name email phone birth_date loyalty_tier newsletter address"
                " registration_date created_at updated_at",
                _customers(rng, now, customers, seed),
                progress,
                customers,
            ),
            "products": _copy(
                conn,
                "products",
                "id sku name description category price weight_kg attributes active"
                " created_at updated_at",
                _products(rng, now, prices),
                progress,
                products,
            ),
            "inventory": _copy(
                conn,
                "inventory",
                "product_id warehouse on_hand reorder_level last_counted updated_at",
                _stock(rng, now, products),
                progress,
                products * 2,
            ),
            "orders": _copy(
                conn,
                "orders",
                "id order_number order_date order_time purchaser quantity product_id unit_price"
                " status note created_at updated_at",
                _order_rows(rng, placed),
                progress,
                orders,
            ),
            "shipments": _copy(
                conn,
                "shipments",
                "id order_id carrier tracking_number cost shipped_at delivered_at updated_at",
                _shipments(rng, placed),
                progress,
                sum(order.shipped is not None for order in placed),
            ),
        }
        _continue_numbers(conn)
    # Without statistics the first verification and the first queries would plan blindly.
    for table in TABLES:
        conn.execute(sql.SQL("ANALYZE inventory.{}").format(sql.Identifier(table)))
    return counts


def shipment_id(order: int) -> uuid.UUID:
    """The id of an order's shipment: made of the order's id, so that no two runs make one twice."""
    return uuid.uuid5(SHIPMENTS, str(order))


def tracking_number(carrier: str, order: int) -> str:
    """The carrier's number for an order's shipment, unique as order ids are."""
    return f"{carrier.upper()}{shipment_id(order).node:015d}{order:09d}"


def _is_empty(conn: psycopg.Connection, table: str) -> bool:
    query = sql.SQL("SELECT 1 FROM inventory.{} LIMIT 1").format(sql.Identifier(table))
    return conn.execute(query).fetchone() is None


def _copy(
    conn: psycopg.Connection,
    table: str,
    columns: str,
    rows: Iterator[Sequence[object]],
    progress: Progress,
    total: int,
) -> int:
    statement = sql.SQL("COPY inventory.{} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns.split()))
    )
    written = 0
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
            written += 1
            if written % COPIED_BETWEEN_REPORTS == 0:
                progress(table, written, total)
    progress(table, written, total)
    return written


def _continue_numbers(conn: psycopg.Connection) -> None:
    """Lets the next row inserted without an id follow the ones written with theirs."""
    for table in ("customers", "products", "orders"):
        conn.execute(
            sql.SQL(
                "SELECT setval(pg_get_serial_sequence({name}, 'id'), max(id))"
                " FROM {table} HAVING max(id) IS NOT NULL"
            ).format(
                name=sql.Literal(f"inventory.{table}"), table=sql.Identifier("inventory", table)
            )
        )
    conn.execute(
        "SELECT setval('inventory.order_number_seq', 100000 + max(id))"
        " FROM inventory.orders HAVING max(id) IS NOT NULL"
    )


def _price(rng: random.Random, number: int) -> Decimal:
    low, high = CATALOGUE[_category(number)][0]
    # Cheap things are more common than dear ones, and prices end in .99.
    return int(rng.triangular(low, high, low)) + Decimal("0.99")


def _category(number: int) -> str:
    return list(CATALOGUE)[number % len(CATALOGUE)]


def _customers(
    rng: random.Random, now: datetime, count: int, seed: int
) -> Iterator[Sequence[object]]:
    # A pool of names, combined: asking Faker for each of a million customers would take a minute.
    fake = Faker("en_US")
    fake.seed_instance(seed)
    first = [fake.first_name() for _ in range(200)]
    last = [fake.last_name() for _ in range(400)]
    cities = [(fake.city(), fake.postcode()) for _ in range(100)]
    for number in range(1, count + 1):
        given, family = rng.choice(first), rng.choice(last)
        city, postcode = rng.choice(cities)
        registered = now - timedelta(days=rng.randint(ORDERED_OVER_DAYS, 900), minutes=number % 600)
        yield (
            number,
            given,
            family,
            f"{given}.{family}.{number}@example.com".lower(),
            f"+1-555-{rng.randrange(10_000_000):07d}" if rng.random() < 0.8 else None,
            (now - timedelta(days=rng.randint(18 * 365, 80 * 365))).date(),
            rng.choices(("STANDARD", "SILVER", "GOLD"), (80, 15, 5))[0],
            rng.random() < 0.4,
            json.dumps({"city": city, "postcode": postcode, "country": "US"}),
            registered.date(),
            registered,
            registered,
        )


def _products(
    rng: random.Random, now: datetime, prices: dict[int, Decimal]
) -> Iterator[Sequence[object]]:
    listed = now - timedelta(days=900)
    for number, price in prices.items():
        category = _category(number)
        material = rng.choice(MATERIALS)
        noun = rng.choice(CATALOGUE[category][1])
        yield (
            number,
            f"{category[:3].upper()}-{number:05d}",
            f"{material} {noun} {number}",
            f"A {noun.lower()} with a touch of {material.lower()}." if number % 7 else None,
            category,
            price,
            round(rng.uniform(0.05, 25), 3),
            json.dumps(
                {
                    "material": material.lower(),
                    "warranty_months": rng.choice((12, 24)),
                    "tags": sorted(
                        rng.sample(("new", "eco", "gift", "outdoor"), rng.randint(0, 3))
                    ),
                }
            ),
            rng.random() < 0.95,
            listed,
            listed,
        )


def _stock(rng: random.Random, now: datetime, products: int) -> Iterator[Sequence[object]]:
    for product in range(1, products + 1):
        # Two of the three warehouses, so that stock has somewhere to be moved to.
        for warehouse in sorted(rng.sample(WAREHOUSES, 2)):
            counted = now - timedelta(days=rng.randint(1, 90))
            yield product, warehouse, rng.randint(0, 5_000), 200, counted.date(), counted


def _orders(
    rng: random.Random, now: datetime, count: int, customers: int, prices: dict[int, Decimal]
) -> list[_Order]:
    days = [now - timedelta(days=back) for back in range(ORDERED_OVER_DAYS, -1, -1)]
    by_day = rng.choices(days, [WEEKLY[day.weekday()] for day in days], k=count)
    by_hour = rng.choices(range(24), HOURLY, k=count)
    moments = []
    for day, hour in zip(by_day, by_hour, strict=True):
        moment = day.replace(hour=hour, minute=rng.randrange(60), second=rng.randrange(60))
        # What would lie in the future goes to an earlier week, the same weekday and hour.
        weeks = rng.randint(1, ORDERED_OVER_DAYS // 7) if moment > now else 0
        moments.append(moment - timedelta(weeks=weeks))
    popularity = [1 / (number**0.5) for number in prices]
    chosen = rng.choices(list(prices), popularity, k=count)
    return [
        _order(rng, now, placed, rng.randint(1, customers), product, prices[product])
        for placed, product in zip(sorted(moments), chosen, strict=True)
    ]


def _order(
    rng: random.Random,
    now: datetime,
    placed: datetime,
    purchaser: int,
    product: int,
    price: Decimal,
) -> _Order:
    confirmed = placed + timedelta(minutes=rng.randint(5, 180))
    shipped = confirmed + timedelta(minutes=rng.randint(6 * 60, 48 * 60))
    delivered = shipped + timedelta(minutes=rng.randint(20 * 60, 120 * 60))
    steps = [("PENDING", placed), ("CONFIRMED", confirmed)]
    if rng.random() < 0.04:
        steps.append(("CANCELLED", confirmed + timedelta(minutes=rng.randint(1, 300))))
    else:
        steps += [("SHIPPED", shipped), ("DELIVERED", delivered)]
    status, changed = [step for step in steps if step[1] <= now][-1]
    return _Order(
        placed,
        purchaser,
        product,
        rng.choices((1, 2, 3, 4, 5, 10), (50, 25, 12, 6, 5, 2))[0],
        price,
        status,
        changed,
        shipped if status in ("SHIPPED", "DELIVERED") else None,
        delivered if status == "DELIVERED" else None,
    )


def _order_rows(rng: random.Random, orders: list[_Order]) -> Iterator[Sequence[object]]:
    for number, order in enumerate(orders, 1):
        yield (
            number,
            f"ORD-{100_000 + number}",
            order.placed.date(),
            order.placed.time(),
            order.purchaser,
            order.quantity,
            order.product,
            order.price,
            order.status,
            "Please leave it with the neighbour" if rng.random() < 0.03 else None,
            order.placed,
            order.changed,
        )


def _shipments(rng: random.Random, orders: list[_Order]) -> Iterator[Sequence[object]]:
    for number, order in enumerate(orders, 1):
        if order.shipped is not None:
            carrier = rng.choice(CARRIERS)
            yield (
                shipment_id(number),
                number,
                carrier,
                tracking_number(carrier, number),
                Decimal(rng.randint(390, 2_490)) / 100,
                order.shipped,
                order.delivered,
                order.changed,
            )
