"""Secrets at rest: only the master key opens them, and only for the API key they belong to."""

from pathlib import Path

import pytest

from exchange.backend.directory import Directory
from exchange.backend.vault import Vault
from exchange.services.failures import OperatorNeeded
from exchange.services.rows import Key, KeyKind
from exchange.services.settings import InvalidSettings

API_KEY = "k" * 64


def master_key(path: Path, text: str = "ab" * 32, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.open(master_key(tmp_path / "master.key"))


def test_what_was_sealed_can_be_unsealed(vault: Vault) -> None:
    sealed = vault.seal(API_KEY, b"secret")

    assert b"secret" not in sealed
    assert sealed[0] == 1
    assert vault.unseal(API_KEY, sealed) == b"secret"


def test_sealing_twice_gives_two_texts(vault: Vault) -> None:
    assert vault.seal(API_KEY, b"secret") != vault.seal(API_KEY, b"secret")


def test_a_secret_belongs_to_its_key_and_its_master_key(vault: Vault, tmp_path: Path) -> None:
    sealed = vault.seal(API_KEY, b"secret")
    other = Vault.open(master_key(tmp_path / "other.key", "cd" * 32))

    for opener, api_key, text in (
        (vault, "x" * 64, sealed),
        (other, API_KEY, sealed),
        (vault, API_KEY, b"\x02" + sealed[1:]),
        (vault, API_KEY, sealed[:-1]),
        (vault, API_KEY, b""),
    ):
        with pytest.raises(OperatorNeeded, match="MASTER_KEY_FILE"):
            opener.unseal(api_key, text)


def test_a_new_master_key_seals_and_the_old_ones_go_on_unsealing(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    vault = Vault.open(master_key(path))
    before = vault.seal(API_KEY, b"secret")
    elsewhere = Vault.open(str(path))

    master_key(path, "2:" + "cd" * 32 + "\n" + "ab" * 32)
    vault.reload()
    after = vault.seal(API_KEY, b"secret")

    assert (before[0], after[0], vault.newest) == (1, 2, 2)
    assert (vault.is_outdated(before), vault.is_outdated(after)) == (True, False)
    assert vault.unseal(API_KEY, before) == vault.unseal(API_KEY, after) == b"secret"
    # Another backend meets the new one before anybody has told it.
    assert elsewhere.unseal(API_KEY, after) == b"secret"


@pytest.mark.parametrize("text", ["0:" + "ab" * 32, "256:" + "ab" * 32, "x:" + "ab" * 32])
def test_a_master_key_has_a_small_number(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidSettings, match="does not hold 64 hex digits"):
        Vault.open(master_key(tmp_path / "master.key", text))


def test_two_master_keys_have_two_numbers(tmp_path: Path) -> None:
    text = "ab" * 32 + "\n1:" + "cd" * 32

    with pytest.raises(InvalidSettings, match="does not hold 64 hex digits"):
        Vault.open(master_key(tmp_path / "master.key", text))


def test_a_directory_stops_at_a_secret_that_it_cannot_open(vault: Vault) -> None:
    key = Key(api_key=API_KEY, account=1, kind=KeyKind.HMAC, secret=b"?", can_trade=True, created=1)

    with pytest.raises(OperatorNeeded):
        Directory(vault, [key])


@pytest.mark.parametrize("text", ["", "ab" * 31, "ab" * 33, "zz" * 32, "é" * 64])
def test_a_master_key_is_64_hex_digits(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidSettings, match="64 hex digits"):
        Vault.open(master_key(tmp_path / "master.key", text))


def test_a_master_key_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="chmod 600"):
        Vault.open(master_key(tmp_path / "master.key", mode=0o644))


def test_a_missing_master_key_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="MASTER_KEY_FILE is not set"):
        Vault.open("")
    with pytest.raises(InvalidSettings, match="cannot be read"):
        Vault.open(str(tmp_path / "nothing"))
