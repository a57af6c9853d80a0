"""Records of sites and traffic sources: two people who edit one do not undo each other's work."""

from dataclasses import replace

import orjson
import pytest

from dni_allocator.domain.errors import EditConflict, SiteUnknown, TrafficSourceUnknown
from dni_allocator.domain.site import Site
from dni_allocator.domain.traffic_source import Kind, TrafficSource
from dni_allocator.store.keys import SITES
from dni_allocator.store.site_records import SiteStore
from dni_allocator.store.traffic_sources import TrafficSourceStore
from tests.support.rig import Rig

SITE = Site(id="site_1", key="pk_1", name="Shop", pool_ids=("pool_1",), created_at="2026-11-26")
SOURCE = TrafficSource(id="src_1", name="Ads", kind=Kind.GOOGLE, created_at="2026-11-26")


async def test_an_edit_of_what_was_edited_meanwhile_is_refused(rig: Rig) -> None:
    """The second of two who have read the same; what the first wrote stays."""
    sites, sources = SiteStore(rig.execute), TrafficSourceStore(rig.execute)
    await sites.create(SITE)
    await sources.create(SOURCE)
    await sites.replace(SITE, replace(SITE, name="Mine"))
    await sources.replace(SOURCE, replace(SOURCE, name="Mine"))

    with pytest.raises(EditConflict):
        await sites.replace(SITE, replace(SITE, pool_ids=("pool_2",)))
    with pytest.raises(EditConflict):
        await sources.replace(SOURCE, replace(SOURCE, description="theirs"))

    assert await sites.read(SITE.id) == replace(SITE, name="Mine")
    assert await sources.read(SOURCE.id) == replace(SOURCE, name="Mine")


async def test_the_same_edit_may_be_sent_twice(rig: Rig) -> None:
    """The client repeats what it got no answer to."""
    sites, wanted = SiteStore(rig.execute), replace(SITE, name="Mine")
    await sites.create(SITE)

    await sites.replace(SITE, wanted)
    await sites.replace(SITE, wanted)

    assert await sites.read(SITE.id) == wanted


async def test_an_edit_of_what_was_deleted_makes_nothing(rig: Rig) -> None:
    """Or its key would have a record again that nobody asked for."""
    sites, sources = SiteStore(rig.execute), TrafficSourceStore(rig.execute)

    with pytest.raises(SiteUnknown):
        await sites.replace(SITE, replace(SITE, name="Mine"))
    with pytest.raises(TrafficSourceUnknown):
        await sources.replace(SOURCE, replace(SOURCE, name="Mine"))

    assert (await sites.all(), await sources.all()) == ([], [])


async def test_a_record_of_an_earlier_version_can_be_edited(rig: Rig) -> None:
    """It lacks a field and has its names in another order, and says the same."""
    sites = SiteStore(rig.execute)
    early = {"pool_ids": ["pool_1"], "name": "Shop", "key": "pk_1", "created_at": "2026-11-26"}
    await rig.execute("HSET", SITES, SITE.id, orjson.dumps({**early, "id": SITE.id}))

    await sites.replace(await sites.read(SITE.id), replace(SITE, name="Mine"))

    assert await sites.read(SITE.id) == replace(SITE, name="Mine")
