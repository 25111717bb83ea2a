"""Snapshots as files: what is copied, when it is in force, and how far numbers have to move on."""

from pathlib import Path

import pytest

from exchange.services import replacement, snapshots
from exchange.services.folder_copy import copy_folder
from exchange.services.messages import JUMP
from exchange.services.snapshots import SnapshotFault


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What looks like an exchange that does not run."""
    for store in replacement.STORES:
        (tmp_path / "data" / store / "inner").mkdir(parents=True)
        (tmp_path / "data" / store / "inner" / "file").write_text(f"{store} then", encoding="ascii")
    (tmp_path / "data" / "redis" / "redis.pid").write_text("1", encoding="ascii")
    (tmp_path / "data" / "master.key").write_text("key", encoding="ascii")
    return tmp_path / "data"


def save(folder: Path, name: str, **numbers: int) -> None:
    def copy_database(source: Path, target: Path) -> dict[str, int]:
        copy_folder(source, target)
        return {"position": 0, **numbers}

    snapshots.save(folder, name, copy_database)


def go_on(folder: Path) -> None:
    for store in replacement.STORES:
        (folder / store / "inner" / "file").write_text(f"{store} now", encoding="ascii")


def content(folder: Path) -> list[str]:
    return [
        (folder / store / "inner" / "file").read_text(encoding="ascii")
        for store in replacement.STORES
    ]


THEN, NOW = ["redis then", "postgres then"], ["redis now", "postgres now"]


def test_what_is_saved_is_what_was_there(folder: Path) -> None:
    save(folder, "one")
    go_on(folder)

    snapshots.prepare(folder, "one", {})
    assert content(folder) == NOW
    replacement.settle(folder)

    assert content(folder) == THEN
    assert not (folder / "redis" / "redis.pid").exists()
    assert sorted(path.name for path in folder.iterdir()) == [
        "master.key", "postgres", "redis", "snapshots",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("then", "now", "jumps"),
    [
        ({}, {}, 0),
        ({"a": 5}, {"a": 5}, 0),
        ({"a": 5}, {"a": 6}, 1),
        ({"a": 5, "b": 0}, {"a": 6, "b": JUMP + 1}, 2),
        ({"a": 5}, {"a": 6, "new": 3 * JUMP}, 3),
        ({"a": 5 * JUMP}, {"a": 7 * JUMP}, 2),
    ],
)
def test_the_next_generation_begins_behind_all_that_was_counted(
    folder: Path, then: dict[str, int], now: dict[str, int], jumps: int
) -> None:
    save(folder, "one", **then)

    snapshots.prepare(folder, "one", now)
    replacement.complete(folder)

    assert int((folder / "redis" / "leap").read_text(encoding="ascii")) == jumps * JUMP


def test_who_is_killed_while_preparing_has_changed_nothing(folder: Path) -> None:
    save(folder, "one")
    go_on(folder)
    fresh = replacement.begin(folder)
    copy_folder(folder / "snapshots" / "one" / "redis", fresh / "redis")

    replacement.settle(folder)

    assert content(folder) == NOW
    assert not fresh.exists()


@pytest.mark.parametrize("done", [0, 1, 2, 3, 4])
def test_who_is_killed_while_replacing_is_finished_by_the_next(
    folder: Path, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(folder, "one")
    go_on(folder)
    snapshots.prepare(folder, "one", {})
    rename, left = Path.rename, [done]

    def rename_until_killed(self: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename_until_killed)
        try:
            replacement.complete(folder)
        except KeyboardInterrupt:
            assert replacement.is_prepared(folder)

    replacement.settle(folder)
    assert content(folder) == THEN


def test_a_fork_has_the_stores_and_the_key_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    save(folder, "one")
    go_on(folder)

    snapshot = snapshots.begin_fork(folder, "one", tmp_path / "fork")
    snapshots.copy_secrets(snapshot, tmp_path / "fork")
    snapshots.take_stores(snapshot, tmp_path / "fork")

    assert content(tmp_path / "fork") == THEN
    assert sorted(path.name for path in (tmp_path / "fork").iterdir()) == [
        "master.key", "postgres", "redis",
    ]  # fmt: skip
    with pytest.raises(SnapshotFault, match="is not empty"):
        snapshots.begin_fork(folder, "one", tmp_path / "fork")


def test_a_snapshot_is_whole_or_absent(folder: Path) -> None:
    def fail(source: Path, target: Path) -> dict[str, int]:
        copy_folder(source, target)
        raise SnapshotFault("the database went away")

    with pytest.raises(SnapshotFault, match="went away"):
        snapshots.save(folder, "one", fail)

    assert snapshots.listed(folder) == []
    save(folder, "one")
    assert [one.name for one in snapshots.listed(folder)] == ["one"]
    with pytest.raises(SnapshotFault, match="There is a snapshot one already"):
        save(folder, "one")
    snapshots.delete(folder, "one")
    assert snapshots.listed(folder) == []


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "-x", "x" * 65, "ä"])
def test_a_name_is_no_path(folder: Path, name: str) -> None:
    with pytest.raises(SnapshotFault, match="is no name"):
        save(folder, name)
    with pytest.raises(SnapshotFault, match="is no name"):
        snapshots.delete(folder, name)


def test_what_is_not_there_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SnapshotFault, match="There is no snapshot two"):
        snapshots.prepare(folder, "two", {})
    with pytest.raises(SnapshotFault, match="does not hold both stores"):
        save(tmp_path, "one")
