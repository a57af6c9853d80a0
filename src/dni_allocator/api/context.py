"""What the routes are given: the services, and what the process knows of itself.

Dependencies are coroutines though they wait for nothing: FastAPI runs plain functions in a thread,
and each request would queue twice for the interpreter, once to get there and once to come back.
"""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from dni_allocator.metrics import Metrics
from dni_allocator.services.access import Access
from dni_allocator.services.allocation import Allocation
from dni_allocator.services.attribution import AttributionService
from dni_allocator.services.audit import AuditLog
from dni_allocator.services.buyer import Buyer
from dni_allocator.services.call_control import CallControl
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
from dni_allocator.services.live_leases import LiveLeases
from dni_allocator.services.pools import Pools
from dni_allocator.services.purchases import Purchases
from dni_allocator.services.quarantine import Quarantine
from dni_allocator.services.reconciling import Reconciling
from dni_allocator.services.releasing import Releasing
from dni_allocator.services.scaling import Scaling
from dni_allocator.services.secret_keys import SecretKeys
from dni_allocator.services.sessions import Sessions
from dni_allocator.services.shops import Shops
from dni_allocator.services.site_records import SiteRecords
from dni_allocator.services.sites import Sites
from dni_allocator.services.sizing import SizingService
from dni_allocator.services.suggestions import Suggestions
from dni_allocator.services.telephony import Telephony
from dni_allocator.services.traffic_sources import TrafficSources


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Every use case, ready to run."""

    access: Access
    allocation: Allocation
    attribution: AttributionService
    audit: AuditLog
    calls: Calls
    conversion_files: ConversionFiles
    conversions: Conversions
    call_control: CallControl | None
    """None: there is no key to command with."""
    deliveries: Deliveries
    endpoints: Endpoints
    erasure: Erasure
    event_feed: EventFeed
    health: Health
    history: History
    inventory: Inventory
    live_leases: LiveLeases
    pools: Pools
    quarantine: Quarantine
    secret_keys: SecretKeys
    sessions: Sessions
    sites: Sites
    site_records: SiteRecords
    explainer: Explainer
    sizing: SizingService
    suggestions: Suggestions
    shops: Shops
    purchases: Purchases
    releasing: Releasing
    reconciling: Reconciling
    scaling: Scaling
    buyer: Buyer
    traffic_sources: TrafficSources
    telephony: Telephony


async def _services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


ServicesDep = Annotated[Services, Depends(_services)]
"""The services, as a parameter of a route."""


async def _metrics(request: Request) -> Metrics:
    return cast("Metrics", request.app.state.metrics)


MetricsDep = Annotated[Metrics, Depends(_metrics)]
"""What this process counts, as a parameter of a route."""
