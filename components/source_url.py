"""The connection string of an existing source, read for us (libpq) and for Debezium (pgjdbc)."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import BaseModel, ConfigDict, Field

#: Read by us alone; they change how a connection is kept, not whom it is made with.
OURS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
)
SSLMODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
HOW = "write it like postgresql://user:password@host:5432/database?sslmode=require"


class SourceUrl(BaseModel):
    """An existing server, one database of it, and how the way there is protected.

    Attributes:
        parameters: what else libpq is given (https://www.postgresql.org/docs/16/libpq-connect.html).
        ca: the certificates to trust, PEM text; empty where none are checked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    port: int
    user: str
    password: str = Field(repr=False)
    database: str
    parameters: dict[str, str]
    ca: str = Field(repr=False)

    @property
    def where(self) -> str:
        """For messages: everything but the password."""
        return f"{self.host}:{self.port}/{self.database}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is the machine that asks."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")

    @classmethod
    def parse(cls, url: str) -> SourceUrl:
        """Raises ValueError with one sentence that quotes no secret part of the string."""
        try:
            given = {name: str(value) for name, value in conninfo_to_dict(url).items()}
        except psycopg.Error:
            # What libpq says quotes the string.
            raise ValueError(
                f"it is no connection string: {HOW}; in a password, anything but letters and "
                "digits as %XX"
            ) from None
        host = given.pop("host", "")
        if not host or host.startswith(("/", "@")) or "," in host:
            raise ValueError(f"it needs one host, reached over TCP: {HOW}")
        for needed in ("user", "dbname"):
            if not given.get(needed):
                raise ValueError(
                    f"it names no {'database' if needed == 'dbname' else needed}: {HOW}"
                )
        user, database = given.pop("user"), given.pop("dbname")
        port, password = given.pop("port", "5432"), given.pop("password", "")
        if not port.isdigit():
            raise ValueError(f"it needs one port: {HOW}")
        ca_file = given.pop("sslrootcert", "")
        parameters = {"sslmode": given.pop("sslmode", "prefer")}
        for name in (*OURS, "channel_binding"):
            if name in given:
                parameters[name] = given.pop(name)
        if given:
            raise ValueError(
                f"{', '.join(sorted(given))} can't be had for Debezium as well: take it out "
                f"(there are sslmode, sslrootcert, channel_binding, {', '.join(OURS)})"
            )
        ca_file, ca = _authority(parameters["sslmode"], ca_file)
        if ca_file:
            parameters["sslrootcert"] = ca_file
        return cls(
            host=host,
            port=int(port),
            user=user,
            password=password,
            database=database,
            parameters=parameters,
            ca=ca,
        )

    @property
    def for_debezium(self) -> dict[str, str]:
        """What protects the way there, as connector settings; without sslrootcert's path."""
        mode = self.parameters["sslmode"]
        # With a root certificate libpq checks it under `require` too; pgjdbc does not.
        settings = {"database.sslmode": "verify-ca" if mode == "require" and self.ca else mode}
        if binding := self.parameters.get("channel_binding"):
            settings["driver.channelBinding"] = binding
        return settings


def _authority(mode: str, file: str) -> tuple[str, str]:
    if mode not in SSLMODES:
        raise ValueError(f"sslmode={mode} is none of {', '.join(SSLMODES)}")
    if not file:
        if mode.startswith("verify-"):
            raise ValueError(
                f"sslmode={mode} needs sslrootcert=PATH of the authority's certificate, or "
                "sslrootcert=system for those this machine trusts"
            )
        return "", ""
    if file == "system":
        # The bundle of the machine: libpq's own and Java's `system` would be two different ones.
        file = ssl.get_default_verify_paths().cafile or ""
        if not file:
            raise ValueError("sslrootcert=system: this machine has no bundle of them; name a file")
    path = Path(file).absolute()
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"sslrootcert: {path} can't be read: {error}") from error
    if "BEGIN CERTIFICATE" not in text:
        raise ValueError(f"sslrootcert: {path} holds no certificate in PEM form")
    return str(path), text
