"""A generated password, kept as a secret in the stack's state."""

from __future__ import annotations

import secrets

import pulumi
from pulumi.dynamic import CreateResult, Resource

from providers.base import Props, Provider


class PasswordProvider(Provider):
    """Makes a password once; it stays the same until the resource is replaced."""

    replace_on = ("length",)

    def create(self, props: Props) -> CreateResult:
        # URL-safe characters only: the value goes into connection strings and .properties files.
        value = secrets.token_urlsafe(int(props["length"]))[: int(props["length"])]
        return CreateResult("password", {"length": props["length"], "value": value})


class Password(Resource, module="cdc", name="Password"):
    """`value` is a secret output of `length` URL-safe characters."""

    value: pulumi.Output[str]

    def __init__(
        self, name: str, *, length: int = 32, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["value"])
        super().__init__(
            PasswordProvider(),
            name,
            {"length": length, "value": None},
            pulumi.ResourceOptions.merge(opts, secret),
        )
