"""The file of `exchange backup`: a tar of what it is, the dump of the database, and maybe the key.

It is written under another name first, so that it is whole or absent; only its owner may read it.
"""

import hashlib
import io
import os
import shutil
import tarfile
from pathlib import Path
from typing import IO

import msgspec

FORMAT = 1
_MANIFEST, _DUMP, _KEY = "manifest.json", "database.dump", "master.key"
_CHUNK = 1 << 20


class BackupFault(Exception):
    """Why a backup cannot be made or used, as a sentence."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`position` is the last outcome that the backup holds; `time` and `made` are in µs.

    `key_print` is a fingerprint of the key that the secrets in the dump are encrypted with, where
    it was known.
    """

    format: int = FORMAT
    cluster: str
    position: int
    time: int
    made: int
    schema: str
    postgres: str
    dump_sha256: str
    key_print: str | None = None
    has_key: bool = False


def write_backup(file: Path, manifest: Manifest, dump: Path, key: bytes | None) -> None:
    """Put it together from a finished dump."""
    fresh = file.with_name(file.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
        with tarfile.open(fileobj=output, mode="w") as tar:
            _add(tar, _MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
            if key is not None:
                _add(tar, _KEY, key)
            tar.add(dump, arcname=_DUMP)
        output.flush()
        os.fsync(output.fileno())
    fresh.rename(file)


def read_manifest(file: Path) -> Manifest:
    with _opened(file) as tar:
        manifest = msgspec.json.decode(_member(tar, _MANIFEST).read(), type=Manifest)
    if manifest.format != FORMAT:
        raise BackupFault(
            f"{file} has format {manifest.format}, this version knows {FORMAT}: use a newer one."
        )
    return manifest


def read_key(file: Path) -> bytes | None:
    """The master key, where the backup holds it."""
    manifest = read_manifest(file)
    if not manifest.has_key:
        return None
    with _opened(file) as tar:
        return _member(tar, _KEY).read()


def extract_dump(file: Path, folder: Path) -> Path:
    """The dump as a file of its own, if it is as it was made."""
    manifest = read_manifest(file)
    dump = folder / _DUMP
    try:
        with _opened(file) as tar, dump.open("wb") as output:
            shutil.copyfileobj(_member(tar, _DUMP), output, _CHUNK)
    except tarfile.TarError:
        raise BackupFault(f"{file} is damaged: it ends too early.") from None
    if sha256_of(dump) != manifest.dump_sha256:
        raise BackupFault(f"{file} is damaged: its dump is not what was written.")
    return dump


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key_print(key: bytes) -> str:
    """What tells keys apart and gives nothing away of them: they are random."""
    return hashlib.sha256(key.strip()).hexdigest()[:16]


def _opened(file: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(file, mode="r:")
    except FileNotFoundError:
        raise BackupFault(f"There is no file {file}.") from None
    except (OSError, tarfile.TarError) as fault:
        raise BackupFault(f"{file} is no backup of an exchange: {fault}.") from None


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    try:
        found = tar.extractfile(name)
    except (KeyError, OSError, tarfile.TarError):
        found = None
    if found is None:
        raise BackupFault(
            f"This is no backup of an exchange, or was cut off: {name} cannot be read."
        )
    return found


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    tar.addfile(member, io.BytesIO(content))
