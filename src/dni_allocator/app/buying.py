"""What buys numbers and gives them back, wired up."""

from dataclasses import dataclass

from dni_allocator.app.shops import build_shops
from dni_allocator.app.stores import Stores
from dni_allocator.domain.purchase import Purchase
from dni_allocator.domain.release import Release
from dni_allocator.domain.scaling import Decision
from dni_allocator.services.access import instant_ms
from dni_allocator.services.buyer import Buyer
from dni_allocator.services.inventory import Inventory
from dni_allocator.services.purchases import Purchases
from dni_allocator.services.purchasing import Purchasing
from dni_allocator.services.reconciling import Reconciling
from dni_allocator.services.releasing import Releasing
from dni_allocator.services.scaling import Scaling
from dni_allocator.services.shops import Shops
from dni_allocator.settings import Settings
from dni_allocator.store.history import HistoryStore
from dni_allocator.store.keys import BUYER
from dni_allocator.store.ledger import Ledger
from dni_allocator.store.ledger_records import PURCHASES, RELEASES
from dni_allocator.store.locks import Lock
from dni_allocator.store.shelves import ShelfStore
from dni_allocator.store.upkeep import DECISIONS, UpkeepStore
from dni_allocator.vendors.rest import Patience

_LOCK_MS = 6_000
"""After a crash nobody buys for so long; a living process asks again every third of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buying:
    """The use cases around buying, and their background."""

    shops: Shops
    purchases: Purchases
    releasing: Releasing
    reconciling: Reconciling
    scaling: Scaling
    buyer: Buyer


def build_buying(settings: Settings, stores: Stores, *, patience: Patience | None = None) -> Buying:
    """Wire it. Nothing is dialled."""

    def now() -> int:
        return instant_ms(stores.bulk.clock)

    shops = build_shops(settings, stores.execute, patience=patience)
    pools, directory = stores.pools, stores.directory
    purchases = Ledger[Purchase](stores.bulk, PURCHASES)
    releases = Ledger[Release](stores.bulk, RELEASES)
    inventory = Inventory(pools=pools, directory=directory)
    releasing = Releasing(
        ledger=releases,
        shops=shops,
        inventory=inventory,
        pools=pools,
        shelves=ShelfStore(stores.bulk),
        directory=directory,
        now=now,
    )
    purchasing = Purchasing(
        ledger=purchases,
        shops=shops,
        inventory=inventory,
        pools=pools,
        directory=directory,
        now=now,
    )
    placing = Purchases(ledger=purchases, pools=pools, shops=shops, now=now)
    scaling = Scaling(
        ledger=Ledger[Decision](stores.bulk, DECISIONS),
        upkeep=UpkeepStore(stores.bulk),
        pools=pools,
        history=HistoryStore(stores.bulk),
        purchases=placing,
        releasing=releasing,
        shops=shops,
        now=now,
    )
    return Buying(
        shops=shops,
        purchases=placing,
        scaling=scaling,
        releasing=releasing,
        reconciling=Reconciling(shops=shops, pools=pools, directory=directory),
        buyer=Buyer(
            lock=Lock(stores.execute, BUYER, ttl_ms=_LOCK_MS),
            purchases=purchases,
            releases=releases,
            purchasing=purchasing,
            releasing=releasing,
            every_round=scaling.round,
            now=now,
            keep_every_s=_LOCK_MS / 3000,
        ),
    )
