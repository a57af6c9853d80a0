"""The use cases of one process, each with the stores and the transport it needs."""

import time

from dni_allocator.api.context import Services
from dni_allocator.app.buying import build_buying
from dni_allocator.app.stores import Stores
from dni_allocator.conversions.ga4 import Ga4
from dni_allocator.conversions.meta import Meta
from dni_allocator.conversions.postback import Postback
from dni_allocator.services.access import Access
from dni_allocator.services.allocation import Allocation
from dni_allocator.services.attribution import AttributionService
from dni_allocator.services.audit import AuditLog
from dni_allocator.services.call_control import CallControl
from dni_allocator.services.callers import Callers
from dni_allocator.services.calls import Calls
from dni_allocator.services.conversion_files import ConversionFiles
from dni_allocator.services.conversions import Conversions
from dni_allocator.services.deliveries import Deliveries
from dni_allocator.services.endpoints import Endpoints
from dni_allocator.services.erasure import Erasure
from dni_allocator.services.event_feed import EventFeed
from dni_allocator.services.explaining import Explainer
from dni_allocator.services.health import Health
from dni_allocator.services.history import History
from dni_allocator.services.inventory import Inventory
from dni_allocator.services.last_known import LastKnown
from dni_allocator.services.live_leases import LiveLeases
from dni_allocator.services.pools import Pools
from dni_allocator.services.quarantine import Quarantine
from dni_allocator.services.secret_keys import SecretKeys
from dni_allocator.services.sessions import Sessions
from dni_allocator.services.shelving import Shelving
from dni_allocator.services.site_records import SiteRecords
from dni_allocator.services.sites import Sites
from dni_allocator.services.sizing import SizingService
from dni_allocator.services.suggestions import Suggestions
from dni_allocator.services.telephony import Telephony, handling_of
from dni_allocator.services.traffic_sources import TrafficSources
from dni_allocator.settings import Settings
from dni_allocator.store.audit import AuditStore
from dni_allocator.store.erasing import ErasureStore
from dni_allocator.store.explaining import Explaining
from dni_allocator.store.live_leases import LiveLeases as LiveLeaseStore
from dni_allocator.store.routes import RouteStore
from dni_allocator.store.secrets import SecretStore
from dni_allocator.store.sessions import SessionStore
from dni_allocator.store.shelves import ShelfStore
from dni_allocator.store.site_records import SiteStore
from dni_allocator.store.suggestions import SuggestionStore
from dni_allocator.store.traffic_sources import TrafficSourceStore
from dni_allocator.vendors.rest import Patience
from dni_allocator.vendors.telnyx.commands import TelnyxCommands
from dni_allocator.webhooks.message import StandardWebhooks
from dni_allocator.webhooks.ports import Dialects
from dni_allocator.webhooks.transport import HttpTransport

DIALECTS: Dialects = {
    "webhook": StandardWebhooks(),
    "ga4": Ga4(),
    "meta": Meta(),
    "postback": Postback(),
}
"""How each kind of endpoint is spoken to."""


def build_services(
    stores: Stores,
    *,
    settings: Settings,
    transport: HttpTransport,
    commands: TelnyxCommands | None,
    patience: Patience | None = None,
) -> Services:
    """Every use case, ready to run.

    `transport` sends what somebody asks to be sent now, `commands` what Call Control is told.
    """
    buying = build_buying(settings, stores, patience=patience)
    directory, pools = stores.directory, stores.pools
    clock = stores.bulk.clock
    sites = Sites(directory=directory, pools=stores.hot_pools, clock=clock)
    shelves = ShelfStore(stores.bulk)
    shelving = Shelving(shelves=shelves, pools=pools)
    suggestions = Suggestions(SuggestionStore(stores.bulk))
    logs = stores.event_logs()
    key = settings.caller_key
    source_records = TrafficSourceStore(stores.pipelined)
    attribution = AttributionService(
        directory=directory,
        pools=stores.hot_pools,
        leases=stores.leases,
        callers=Callers(stores.calls, key=None if key is None else key.get_secret_value()),
        sources=source_records,
    )
    history = History(store=stores.history(), pools=pools)
    pool_services = Pools(pools=pools, directory=directory, shelving=shelving, clock=clock)
    calls = Calls(store=stores.calls, attribution=attribution, pools=stores.hot_pools)
    quarantine = Quarantine(pools=pools, shelves=shelves)
    telephony = Telephony(
        calls=calls,
        pools=stores.hot_pools,
        quarantine=quarantine,
        last_known=LastKnown(pools=pools, routes=RouteStore(stores.bulk)),
        unknown=handling_of(settings.unknown_calls),
        now_ms=lambda: int(clock() or time.time_ns() // 1_000_000),
    )
    access = Access(SecretStore(stores.pipelined), clock=clock)
    return Services(
        access=access,
        allocation=Allocation(
            sites=sites, leases=stores.leases, shelving=shelving, suggestions=suggestions
        ),
        attribution=attribution,
        audit=AuditLog(
            AuditStore(stores.execute, keep_ms=settings.audit_days * 86_400_000, clock=clock),
            keep_days=settings.audit_days,
            clock=clock,
        ),
        calls=calls,
        conversion_files=ConversionFiles(sources=source_records, calls=calls, clock=clock),
        conversions=Conversions(sources=source_records, endpoints=stores.endpoints()),
        call_control=None
        if commands is None
        else CallControl(telephony=telephony, commands=commands),
        deliveries=Deliveries(
            endpoints=stores.endpoints(),
            logs=logs,
            outboxes=stores.outboxes(),
            transport=transport,
            dialects=DIALECTS,
        ),
        endpoints=Endpoints(stores.endpoints()),
        erasure=Erasure(
            store=ErasureStore(stores.bulk, scan=stores.scan),
            pools=pools,
            endpoints=stores.endpoints(),
            clock=clock,
        ),
        event_feed=EventFeed(logs),
        health=Health(stores.pipelined),
        history=history,
        inventory=Inventory(pools=pools, directory=directory),
        live_leases=LiveLeases(store=LiveLeaseStore(stores.bulk), pools=pools),
        pools=pool_services,
        quarantine=quarantine,
        secret_keys=SecretKeys(secrets=SecretStore(stores.execute), pools=pools, clock=clock),
        sessions=Sessions(access=access, store=SessionStore(stores.execute)),
        sites=sites,
        site_records=SiteRecords(
            sites=SiteStore(stores.execute), pools=pools, directory=directory, clock=clock
        ),
        explainer=Explainer(store=Explaining(stores.bulk), shelving=shelving),
        sizing=SizingService(pools=pool_services, history=history),
        suggestions=suggestions,
        shops=buying.shops,
        purchases=buying.purchases,
        releasing=buying.releasing,
        reconciling=buying.reconciling,
        scaling=buying.scaling,
        buyer=buying.buyer,
        traffic_sources=TrafficSources(source_records),
        telephony=telephony,
    )
