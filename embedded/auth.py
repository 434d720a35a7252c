"""Users from a ClickHouse users.xml: who may log in, and under which settings profile."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import xml.etree.ElementTree as ET  # the operator's own files, not input from the network
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded.errors import ClickHouseError

INTERNAL_USER = "default"
"""The engine's own user: the process itself. Nobody can log in as it."""

_INTERNAL = f"""<{INTERNAL_USER}><no_password/>
<networks><ip>::1</ip><ip>127.0.0.1</ip></networks>
<profile>default</profile><quota>default</quota><access_management>1</access_management>
</{INTERNAL_USER}>"""


class ConfigError(Exception):
    """A configuration file that this daemon can't serve faithfully; says where and why."""


@dataclass(frozen=True)
class User:
    """A user who may log in.

    Attributes:
        name: as in users.xml.
        password_sha256: lower-case hex digest.
        networks: addresses it may come from.
        profile: its settings profile.
        settings: that profile's values.
        read_only: the profile says `readonly` 1 or 2.
        changeable: settings a request may still change although read-only.
    """

    name: str
    password_sha256: str
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    profile: str
    settings: Mapping[str, str]
    read_only: bool
    changeable: frozenset[str]

    def admits(self, address: str) -> bool:
        """Whether a client at this address may log in as this user."""
        client = ipaddress.ip_address(address)
        return any(client in network or network.prefixlen == 0 for network in self.networks)


@dataclass(frozen=True)
class _Profile:
    settings: Mapping[str, str]
    read_only: bool
    changeable: frozenset[str]


class Users:
    """The users of one users.xml.

    Args:
        source: a ClickHouse users.xml.

    Raises:
        ConfigError: unreadable, or it uses what this daemon does not enforce.
    """

    def __init__(self, source: Path) -> None:
        try:
            self._tree = ET.parse(source)  # noqa: S314
        except (OSError, ET.ParseError) as error:
            raise ConfigError(f"{source}: {error}") from error
        profiles = {node.tag: _profile(source, node) for node in self._tree.findall("profiles/*")}
        self._users: dict[str, User] = {}
        for node in self._tree.findall("users/*"):
            if node.get("remove"):
                continue
            if node.tag == INTERNAL_USER:
                raise ConfigError(f'{source}: user {INTERNAL_USER} must carry remove="remove"')
            self._users[node.tag] = _user(source, node, profiles)

    def authenticate(self, name: str, password: str, address: str) -> User:
        """The user with this name and password.

        Raises:
            ClickHouseError: AUTHENTICATION_FAILED, the same for all reasons: names can't be probed.
        """
        digest = hashlib.sha256(password.encode()).hexdigest()
        user = self._users.get(name)
        # Compared even for a name nobody has, so that both take the same time.
        matches = hmac.compare_digest(digest, user.password_sha256 if user else "0" * 64)
        if user is None or not matches or not user.admits(address):
            message = (
                f"{name}: Authentication failed: password is incorrect, or there is no such user"
            )
            raise ClickHouseError(516, "AUTHENTICATION_FAILED", message)
        return user

    def write_for_engine(self, target: Path) -> None:
        """Write the users.xml the engine reads: the same users and grants, plus the engine's own.

        `readonly` leaves the profiles because the daemon sets it as the last of a connection's
        settings; `changeable_in_readonly` because the engine in process refuses to load it.

        Args:
            target: file to write; readable by this process's user only.
        """
        root = self._tree.getroot()
        for profile in root.findall("profiles/*"):
            for name in profile.findall("readonly"):
                profile.remove(name)
            for constraint in profile.findall("constraints/*"):
                for mark in constraint.findall("changeable_in_readonly"):
                    constraint.remove(mark)
        users = root.find("users")
        if users is None:
            users = ET.SubElement(root, "users")
        for removed in [node for node in users if node.get("remove")]:
            users.remove(removed)
        users.append(ET.fromstring(_INTERNAL))  # noqa: S314
        target.touch(mode=0o600)
        self._tree.write(target)


def _profile(source: Path, node: ET.Element) -> _Profile:
    if node.find("profile") is not None:
        raise ConfigError(f"{source}: profile {node.tag} inherits another; write its settings out")
    value = (node.findtext("readonly") or "0").strip()
    if value not in ("0", "1", "2"):
        raise ConfigError(f"{source}: profile {node.tag}: readonly is {value}, not 0, 1 or 2")
    constraints = node.findall("constraints/*")
    changeable = frozenset(
        entry.tag for entry in constraints if entry.find("changeable_in_readonly") is not None
    )
    settings = {
        entry.tag: (entry.text or "").strip()
        for entry in node
        if entry.tag not in ("readonly", "constraints")
    }
    return _Profile(settings, value != "0", changeable)


def _user(source: Path, node: ET.Element, profiles: dict[str, _Profile]) -> User:
    where = f"{source}: user {node.tag}"
    digest = (node.findtext("password_sha256_hex") or "").strip().lower()
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise ConfigError(f"{where} needs password_sha256_hex, 64 hexadecimal digits")
    profile = (node.findtext("profile") or "default").strip()
    if profile not in profiles:
        raise ConfigError(f"{where} has profile {profile}, which is not among the profiles")
    networks = node.findall("networks/*")
    if not networks or any(entry.tag != "ip" for entry in networks):
        raise ConfigError(f"{where} needs networks given as ip, nothing else")
    try:
        addresses = tuple(ipaddress.ip_network((ip.text or "").strip()) for ip in networks)
    except ValueError as error:
        raise ConfigError(f"{where}: networks: {error}") from error
    rules = profiles[profile]
    return User(
        node.tag,
        digest,
        addresses,
        profile,
        rules.settings,
        rules.read_only,
        rules.changeable,
    )
