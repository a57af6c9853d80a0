"""The order in which a lane sends what it has read."""

from dni_allocator.domain.delivery import Entry
from dni_allocator.webhooks.window import Window


def entries(*numbers: str) -> list[Entry]:
    """One entry for each number, by id."""
    return [Entry(f"{at}-0", 0, {"n": number}) for at, number in enumerate(numbers, start=1)]


def wanted(_: Entry) -> bool:
    """All of them."""
    return True


def test_alone_no_two_of_one_number_are_under_way() -> None:
    """The second waits for the first, and others overtake it."""
    window = Window()
    window.take_new(entries("a", "a", "b"))

    first, second, third = window.next_alone(), window.next_alone(), window.next_alone()
    assert first is not None
    window.landed(first)
    fourth = window.next_alone()

    assert [one and one.id for one in (first, second, third, fourth)] == ["1-0", "3-0", None, "2-0"]


def test_batches_keep_the_order_also_when_they_come_back() -> None:
    """What failed stands where it stood."""
    window = Window()
    window.take_new(entries("a", "a", "b", "a"))

    first, _ = window.next_batch(3, wanted)
    window.put_back(first)
    again, _ = window.next_batch(2, wanted)
    rest, _ = window.next_batch(9, wanted)

    assert [one.id for one in (*again, *rest)] == ["1-0", "2-0", "3-0", "4-0"]


def test_a_batch_leaves_out_what_nobody_wants() -> None:
    """And says so, since the position has to pass it."""
    window = Window()
    window.take_new(entries("a", "b", "a"))

    chosen, skipped = window.next_batch(9, lambda entry: entry.fields["n"] == "a")

    assert [one.id for one in chosen] == ["1-0", "3-0"]
    assert [one.id for one in skipped] == ["2-0"]


def test_a_batch_stops_at_half_a_megabyte() -> None:
    """Receivers limit their bodies."""
    window = Window()
    window.take_new([Entry(f"{at}-0", 0, {"x": "y" * 200_000}) for at in range(1, 9)])

    chosen, _ = window.next_batch(500, wanted)

    assert len(chosen) == 3


def test_the_position_passes_only_what_is_settled_without_a_gap() -> None:
    """Else a crash would lose what lies in the gap; retries hold no position."""
    window = Window()
    window.take_due([Entry("0-5", 0, {})])
    window.take_new(entries("a", "b", "c"))

    window.settled("0-5")
    window.settled("2-0")
    before = window.advance()
    window.settled("1-0")

    assert (before, window.advance(), len(window)) == ("", "2-0", 1)
