"""A role of the stack's own on a server, known by its comment: what all such roles share."""

from __future__ import annotations

from psycopg import sql
from pulumi.dynamic import CreateResult, UpdateResult

from providers.base import Props, Provider, ProviderError, own
from providers.postgres import connected, value

MARKED = "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = %s"


class LoginProvider(Provider):
    """Makes and drops a role, and touches none that the stack did not make.

    A subclass says what the role may do; it leaves `mark` on it as its comment.
    """

    replace_on = ("role",)

    def create(self, props: Props) -> CreateResult:
        with connected(props["connection"]) as connection:
            found = connection.execute(MARKED, [props["role"]]).fetchone()
        if found and found[0] != props["mark"]:
            raise ProviderError(
                f"a role {props['role']} exists that this stack did not make: set cdc:slot to "
                "another name (the role is named after it), or drop it if nobody needs it"
            )
        self._apply(props)
        return CreateResult(props["role"], own(props))

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        self._apply(_news)
        return UpdateResult(own(_news))

    def delete(self, _id: str, _props: Props) -> None:
        with connected(_props["connection"]) as connection, connection.transaction():
            exists = value(connection, "SELECT to_regrole(quote_ident(%s))", _props["role"])
            if exists and value(connection, MARKED, _props["role"]) == _props.get("mark"):
                role = sql.Identifier(_props["role"])
                # DROP OWNED takes the grants back; the role owns nothing.
                connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
                connection.execute(sql.SQL("DROP ROLE {}").format(role))

    def _apply(self, props: Props) -> None:
        """Makes the role, or gives it back what it may do and takes what it may not."""
        raise NotImplementedError
