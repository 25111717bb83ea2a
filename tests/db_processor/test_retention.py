"""Retention: minutes and commands are kept, whatever the numbers do."""

from exchange.db_processor.retention import (
    KEEP_COMMANDS,
    KEEP_NUMBERS_SCARCE,
    KEEP_S,
    Retention,
)


def test_nothing_goes_before_its_time() -> None:
    retention = Retention(0, now=0)
    retention.note(KEEP_COMMANDS, KEEP_COMMANDS, now=1)

    assert retention.droppable(KEEP_S - 1, memory_share=0.1) is None


def test_what_is_old_goes_as_far_as_enough_commands_follow() -> None:
    retention = Retention(0, now=0)
    retention.note(10, 10, now=1)
    retention.note(20, 10, now=2)
    retention.note(20 + KEEP_COMMANDS - 5, KEEP_COMMANDS - 5, now=3)

    assert retention.droppable(KEEP_S + 5, memory_share=0.1) == 10


def test_short_of_memory_only_the_commands_count() -> None:
    retention = Retention(0, now=0)
    retention.note(10, 10, now=1)
    retention.note(10 + KEEP_COMMANDS, KEEP_COMMANDS, now=2)

    assert retention.droppable(3, memory_share=0.1) is None
    assert retention.droppable(3, memory_share=0.3) == 10


def test_a_jump_of_the_numbers_is_no_command() -> None:
    retention = Retention(0, now=0)
    retention.note(50, 50, now=1)
    retention.note(2**20, 1, now=2)

    assert retention.droppable(10 * KEEP_S, memory_share=0.3) is None


def test_a_quiet_exchange_keeps_what_it_has() -> None:
    retention = Retention(7, now=0)

    assert retention.droppable(10 * KEEP_S, memory_share=0.3) is None


def test_where_memory_is_scarce_nearly_all_that_is_written_goes() -> None:
    retention = Retention(0, now=0)
    retention.note(5_000, 5_000, now=1)

    assert retention.droppable(2, memory_share=0.5) is None
    assert retention.droppable(2, memory_share=0.6) == 5_000 - KEEP_NUMBERS_SCARCE


def test_where_memory_is_scarce_what_was_written_by_others_goes_too() -> None:
    retention = Retention(50_000, now=0)

    assert retention.droppable(1, memory_share=0.6) == 50_000 - KEEP_NUMBERS_SCARCE
