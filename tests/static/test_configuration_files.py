"""Configuration in its own formats, checked by its own tools."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from string import Template

import pytest

from components.settings import Ports, Settings
from ops import places

ROOT = places.project()
HEALTH = sorted((ROOT / "platforms" / "health").glob("*.sh"))
SCRIPTS = [
    ROOT / "cdc",
    *sorted((ROOT / "platforms" / "launch").glob("*.sh")),
    *(script for script in HEALTH if script.read_text().startswith("#!/bin/sh\n")),
]
XML = sorted((ROOT / "configs").rglob("*.xml"))
PROPERTIES = sorted((ROOT / "configs").rglob("*.properties"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_parse_as_posix_shell(script: Path) -> None:
    shell = shutil.which("dash") or "sh"
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", HEALTH, ids=lambda path: path.name)
def test_health_checks_parse_as_bash(script: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here; the images have one")
    done = subprocess.run([bash, "-n", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", XML, ids=lambda path: path.name)
def test_xml_is_well_formed_before_and_after_its_values_are_filled_in(file: Path) -> None:
    text = file.read_text()
    names = Template(text).get_identifiers()
    assert Template(text).is_valid()
    ET.fromstring(text)  # noqa: S314 - our own file
    ET.fromstring(Template(text).substitute(dict.fromkeys(names, "1")))  # noqa: S314
    if xmllint := shutil.which("xmllint"):
        subprocess.run([xmllint, "--noout", str(file)], check=True)


@pytest.mark.parametrize(
    "file", sorted((ROOT / "configs" / "clickhouse").glob("*.xml")), ids=lambda path: path.name
)
def test_clickhouse_s_files_have_the_structure_that_its_manual_gives_them(
    file: Path, tmp_path: Path
) -> None:
    xmllint = shutil.which("xmllint")
    if xmllint is None:
        pytest.skip("xmllint is not on this machine: only that the XML is well-formed was checked")
    template = Template(file.read_text())
    values = dict.fromkeys(template.get_identifiers(), "1")
    member = "<server><id>1</id><hostname>a</hostname><port>9234</port></server>"
    filled = tmp_path / file.name
    filled.write_text(template.substitute({**values, "MEMBERS": member}))
    schema = Path(__file__).parent / "clickhouse.rng"
    done = subprocess.run(
        [xmllint, "--noout", "--relaxng", str(schema), str(filled)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", PROPERTIES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_properties_set_each_key_once(file: Path) -> None:
    keys = [
        line.split("=", 1)[0].strip()
        for line in file.read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    assert sorted(keys) == sorted(set(keys))


def test_the_project_files_defaults_are_the_programs() -> None:
    text = (ROOT / "Pulumi.yaml").read_text()
    written = dict(re.findall(r"^  cdc:(\w+):\n(?:    .*\n)*?    default: (.*)$", text, re.M))
    camel = {re.sub("_(.)", lambda m: m[1].upper(), f): i for f, i in Settings.model_fields.items()}
    for name, info in camel.items():
        if name in ("tables", "services", "slot", "ports", "source"):
            continue
        default = str(info.default).lower() if isinstance(info.default, bool) else info.default
        assert written[name] == str(default), name
    for name, port in Ports().by_setting().items():
        assert written[name] == str(port), name


def test_no_stack_file_carries_a_salt_of_somebodys_passphrase() -> None:
    tracked = subprocess.run(
        [
            shutil.which("git") or "git",
            "grep",
            "-l",
            "^encryptionsalt",
            "HEAD",
            "--",
            "Pulumi.*.yaml",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tracked.stdout == ""


def test_no_registry_address_is_written_down() -> None:
    """A mirror that the machine's clients are set up for must keep working."""
    hosts = re.compile(r"https?://[\w.-]*(pypi|pythonhosted|maven|sum\.golang|proxy\.golang|npmjs)")
    locks = [ROOT / "requirements.txt", *(ROOT / "tools").rglob("*")]
    found = [str(p) for p in locks if p.is_file() and hosts.search(p.read_text(errors="replace"))]
    assert found == []
