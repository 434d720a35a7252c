"""One connection string, and the same protection of the way for libpq and for pgjdbc."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.source_url import SourceUrl

URL = "postgresql://al%40ice:p%2Fw@db.example.com:5433/shop"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_text(CERTIFICATE)
    return path


def test_a_url_and_a_keyword_string_mean_the_same() -> None:
    parsed = SourceUrl.parse(URL)
    assert (parsed.host, parsed.port, parsed.database) == ("db.example.com", 5433, "shop")
    assert (parsed.user, parsed.password) == ("al@ice", "p/w")
    words = "host=db.example.com port=5433 user=al@ice password=p/w dbname=shop"
    assert SourceUrl.parse(words) == parsed


def test_the_password_is_in_no_text_of_it() -> None:
    parsed = SourceUrl.parse(URL)
    assert "p/w" not in f"{parsed!r} {parsed} {parsed.where}"


def test_sslmode_holds_for_both() -> None:
    assert SourceUrl.parse(URL).for_debezium == {"database.sslmode": "prefer"}
    for mode in ("disable", "require"):
        parsed = SourceUrl.parse(f"{URL}?sslmode={mode}")
        assert parsed.parameters["sslmode"] == mode
        assert parsed.for_debezium == {"database.sslmode": mode}


def test_certificates_are_read_once_for_both(authority: Path) -> None:
    parsed = SourceUrl.parse(f"{URL}?sslmode=verify-full&sslrootcert={authority}")
    assert parsed.ca == CERTIFICATE
    assert parsed.parameters == {"sslmode": "verify-full", "sslrootcert": str(authority)}
    assert parsed.for_debezium == {"database.sslmode": "verify-full"}


def test_require_with_certificates_checks_them_on_both_sides(authority: Path) -> None:
    parsed = SourceUrl.parse(f"{URL}?sslmode=require&sslrootcert={authority}")
    assert parsed.for_debezium == {"database.sslmode": "verify-ca"}


def test_system_means_the_machines_bundle(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    parsed = SourceUrl.parse(f"{URL}?sslmode=verify-full&sslrootcert=system")
    assert (parsed.ca, parsed.parameters["sslrootcert"]) == (CERTIFICATE, str(authority))


def test_channel_binding_holds_for_both() -> None:
    parsed = SourceUrl.parse(f"{URL}?channel_binding=require")
    assert parsed.parameters["channel_binding"] == "require"
    assert parsed.for_debezium["driver.channelBinding"] == "require"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense with:secret-word", "no connection string"),
        ("postgresql:///shop?user=a", "needs one host"),
        ("postgresql://a@/shop?host=/var/run/postgresql", "needs one host"),
        ("postgresql://a@h1,h2/shop", "needs one host"),
        ("postgresql://a:secret-word@h", "names no database"),
        ("postgresql://h/shop", "names no user"),
        (f"{URL}?sslmode=verify-full", "needs sslrootcert"),
        (f"{URL}?sslmode=maybe", "sslmode=maybe is none of"),
        (f"{URL}?sslmode=require&sslrootcert=/nowhere/ca.pem", "/nowhere/ca.pem can't be read"),
        (f"{URL}?sslcert=/a.pem", "sslcert can't be had for Debezium"),
        (f"{URL}?options=-csearch_path%3Dx", "options can't be had for Debezium"),
    ],
)
def test_what_does_not_work_is_told_without_the_password(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        SourceUrl.parse(url)
    assert "secret-word" not in str(caught.value)
    assert "p/w" not in str(caught.value)


def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("hello")
    with pytest.raises(ValueError, match="holds no certificate"):
        SourceUrl.parse(f"{URL}?sslmode=verify-ca&sslrootcert={path}")
