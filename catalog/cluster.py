"""The same objects on a cluster: every name means there what it means on one server.

A table that holds rows of captured tables lies on its shards as X_local, with a copy on each
replica, and X stands for all of them: what the views write to X goes to the shard of the row's key,
what is read from X comes from every shard. What is small and belongs to no key (`cdc.loads`) is
copied to every node whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from catalog.names import ch_qualified, ch_string
from catalog.objects import LOCAL, SqlObject

CLUSTER = "cdc"
# Where replicas meet in Keeper, and what each is called there; the servers know their {…}
# (configs/clickhouse/cluster.xml).
_OF_A_SHARD = ("/clickhouse/tables/{shard}", "{replica}")
_EVERYWHERE = ("/clickhouse/tables/everywhere", "{shard}-{replica}")
# Run on a server, each returns once that server has what the others had written before.
CATCH_UP = tuple(
    f"SYSTEM SYNC REPLICA cdc.{table} LIGHTWEIGHT" for table in ("truncates", "dead_letters")
)
_ENGINE = re.compile(r"ENGINE = (?P<family>\w*MergeTree)(?:\((?P<arguments>[^)]*)\))?")


def clustered(objects: Sequence[SqlObject]) -> list[SqlObject]:
    """What makes the same tables and views on each node of a cluster, in the order to make them.

    https://clickhouse.com/docs/engines/table-engines/special/distributed,
    https://clickhouse.com/docs/engines/table-engines/mergetree-family/replication
    """
    found: list[SqlObject] = []
    for each in objects:
        if each.kind != "table" or not _ENGINE.search(each.body):
            found.append(each)
        elif each.shard_by:
            local = _named(each, each.name + LOCAL)
            found += [_replicated(local, _OF_A_SHARD), _distributed(each, local)]
        else:
            found.append(_replicated(each, _EVERYWHERE))
    return found


def parted(
    objects: Sequence[Mapping[str, Any]],
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Of a cluster's objects as a provider knows them, the tables with rows, and the others.

    Databases are among both, for both need them.
    """
    rows = [each for each in objects if each["kind"] == "database" or is_replicated(each)]
    others = [each for each in objects if not is_replicated(each)]
    return rows, others


def is_replicated(each: Mapping[str, Any]) -> bool:
    """Whether it is a table that other servers have copies of."""
    return "ENGINE = Replicated" in each["body"]


def _named(each: SqlObject, name: str) -> SqlObject:
    create = each.create.replace(ch_qualified(each.name), ch_qualified(name), 1)
    return replace(each, name=name, create=create)


def _replicated(each: SqlObject, meeting: tuple[str, str]) -> SqlObject:
    root, replica = meeting
    # Not Keeper's {table}: a name may hold what means something in a path.
    path = f"{root}/{quote(each.name, safe='.')}"

    def engine(found: re.Match[str]) -> str:
        given = [ch_string(path), ch_string(replica), found["arguments"]]
        return f"ENGINE = Replicated{found['family']}({', '.join(filter(None, given))})"

    return replace(
        each, create=_ENGINE.sub(engine, each.create), body=_ENGINE.sub(engine, each.body)
    )


def _distributed(each: SqlObject, local: SqlObject) -> SqlObject:
    database, table = local.name.split(".", 1)
    body = (
        f"ENGINE = Distributed({ch_string(CLUSTER)}, {ch_string(database)}, {ch_string(table)}, "
        f"{each.shard_by})"
    )
    # With the columns that the local one has, which may be more than are wanted by now; so it is
    # made again whenever anything changes.
    create = (
        f"CREATE OR REPLACE TABLE {ch_qualified(each.name)} AS {ch_qualified(local.name)}\n{body}"
    )
    return replace(each, kind="distributed", create=create, body=body)
