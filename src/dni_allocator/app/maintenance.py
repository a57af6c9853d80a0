"""What operators have beside the service: the doctor, measures, and copies of all data."""

from dni_allocator.app.stores import Stores
from dni_allocator.metrics import Metrics
from dni_allocator.services.backup import Backup
from dni_allocator.services.doctor import Doctor
from dni_allocator.services.measuring import Measuring
from dni_allocator.settings import Settings
from dni_allocator.store.copying import Copying
from dni_allocator.store.erasing import ErasureStore
from dni_allocator.store.examining import Examination
from dni_allocator.store.upkeep import UpkeepStore


def build_doctor(stores: Stores, settings: Settings) -> Doctor:
    """The doctor of one system."""
    return Doctor(
        examination=Examination(stores.bulk, scan=stores.scan),
        outboxes=stores.outboxes(),
        endpoints=stores.endpoints(),
        erasures=ErasureStore(stores.bulk, scan=stores.scan),
        shards=settings.shards,
        cap_bytes=settings.outbox_max_mb * 1024 * 1024,
    )


def build_measuring(stores: Stores, metrics: Metrics) -> Measuring:
    """What lies in the store, for the metrics of one process."""
    return Measuring(
        examination=Examination(stores.bulk, scan=stores.scan),
        pools=stores.pools,
        upkeep=UpkeepStore(stores.bulk),
        endpoints=stores.endpoints(),
        metrics=metrics,
    )


def build_backup(stores: Stores) -> Backup:
    """Copies of one system, out and in."""
    return Backup(
        Copying(stores.bulk, quick=stores.pipelined, scan=stores.scan), endpoints=stores.endpoints()
    )
