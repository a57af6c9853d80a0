"""What a lane has read and not settled: which entries may go next, and how far all is done.

Owns the order. Alone, entries go in the order of the outbox, never two of one number at once; in
batches, strictly in the order of the outbox. Pure bookkeeping: no clock, no network, no store.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from dni_allocator.domain.delivery import Entry

_LARGEST_BATCH_BYTES: Final = 512 * 1024

Wants = Callable[[Entry], bool]


class Window:
    """Entries of one lane. Those of `take_due` are retries: they hold no position."""

    def __init__(self) -> None:
        self.retrying: set[str] = set()
        self._order: deque[str] = deque()
        self._settled: set[str] = set()
        self._ready: deque[Entry] = deque()
        self._behind: dict[str, deque[Entry]] = {}
        self._numbers: set[str] = set()

    def __len__(self) -> int:
        """New entries that the position has not passed."""
        return len(self._order)

    @property
    def has_ready(self) -> bool:
        """Whether anything could be sent now."""
        return bool(self._ready)

    @property
    def has_settled(self) -> bool:
        """Whether the position could move on."""
        return bool(self._settled)

    def take_new(self, entries: Sequence[Entry]) -> None:
        """Entries read for the first time, in the order of the outbox."""
        self._order.extend(entry.id for entry in entries)
        self._ready.extend(entries)

    def take_due(self, entries: Sequence[Entry]) -> None:
        """Retries whose time has come: they go first."""
        self.retrying.update(entry.id for entry in entries)
        self._ready.extendleft(reversed(entries))

    def skip_unwanted(self, wants: Wants) -> list[Entry]:
        """Take the entries at the head that need no request."""
        skipped = []
        while self._ready and not wants(self._ready[0]):
            skipped.append(self._ready.popleft())
        return skipped

    def next_alone(self) -> Entry | None:
        """The next entry whose number is not under way; those of busy numbers wait aside."""
        while self._ready:
            entry = self._ready.popleft()
            number = entry.fields.get("n", "")
            if number in self._numbers:
                self._behind.setdefault(number, deque()).append(entry)
                continue
            if number:
                self._numbers.add(number)
            return entry
        return None

    def next_batch(self, limit: int, wants: Wants) -> tuple[list[Entry], list[Entry]]:
        """Up to `limit` wanted entries in order, and the unwanted ones that lay between them.

        Also fewer: one request should not carry much more than half a megabyte.
        """
        chosen: list[Entry] = []
        skipped: list[Entry] = []
        size = 0
        while self._ready and len(chosen) < limit and size < _LARGEST_BATCH_BYTES:
            entry = self._ready.popleft()
            if wants(entry):
                chosen.append(entry)
                size += sum(map(len, entry.fields.values()))
            else:
                skipped.append(entry)
        return chosen, skipped

    def put_back(self, entries: Iterable[Entry]) -> None:
        """A batch that has to be sent again, before everything else."""
        self._ready.extendleft(reversed(list(entries)))

    def landed(self, entry: Entry) -> None:
        """An entry that went alone is no longer under way: what waited behind it may go."""
        number = entry.fields.get("n", "")
        self._numbers.discard(number)
        if number in self._behind:
            self._ready.extendleft(reversed(self._behind.pop(number)))

    def settled(self, entry_id: str) -> None:
        """It is known what became of this entry."""
        if entry_id not in self.retrying:
            self._settled.add(entry_id)

    def advance(self) -> str:
        """Pass what is settled; the last entry of which all before are, empty if there is none."""
        position = ""
        while self._order and self._order[0] in self._settled:
            position = self._order.popleft()
            self._settled.discard(position)
        return position
