"""Where the qualified calls of a traffic source are reported: targets, and files to be fetched.

A target is an endpoint of another kind (`domain.conversion`), so everything about its deliveries is
in `services.deliveries`. A file belongs to the record of its source.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from dni_allocator.conversions import ga4, meta, postback
from dni_allocator.domain.conversion import (
    EVENT_TYPE,
    Ga4Target,
    MetaTarget,
    PostbackTarget,
    Target,
)
from dni_allocator.domain.conversion_file import ConversionFile, FileKind, hashed
from dni_allocator.domain.errors import ConversionUnknown, EndpointUnknown, InvalidRequest
from dni_allocator.domain.traffic_source import TrafficSource
from dni_allocator.domain.webhook import Endpoint
from dni_allocator.services import endpoints
from dni_allocator.services.ids import new_conversion_id, new_file_token
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.traffic_sources import TrafficSourceStore

MOST_CONVERSIONS: Final = 20
"""Of one source."""

_TARGETS: Final[Mapping[str, type[Ga4Target | MetaTarget | PostbackTarget]]] = {
    "ga4": Ga4Target,
    "meta": MetaTarget,
    "postback": PostbackTarget,
}

Settings = Mapping[str, Any]
"""Settings by name, as far as they were given; their shapes were checked at the edge."""


@dataclass(frozen=True, slots=True)
class Made:
    """A file and its token, which is told this once."""

    file: ConversionFile
    token: str


class Conversions:
    """Raises `StoreUnavailable` and `TrafficSourceUnknown` throughout."""

    def __init__(self, *, sources: TrafficSourceStore, endpoints: Endpoints) -> None:
        self._sources = sources
        self._endpoints = endpoints

    async def of_source(self, source_id: str) -> tuple[list[Endpoint], tuple[ConversionFile, ...]]:
        """The targets and the files of a source, oldest first."""
        source = await self._sources.read(source_id)
        return await self._targets(source_id), source.files

    async def add_target(
        self, source_id: str, kind: str, settings: Settings, wanted: endpoints.Wanted
    ) -> Endpoint:
        """Report a source's qualified calls somewhere. Raises `InvalidRequest`."""
        await self._check_room(source_id)
        target = _with(_TARGETS[kind], {}, settings)
        endpoint = Endpoint(
            id=new_conversion_id(),
            url=_url_of(target),
            secret="",
            created_ms=_now_ms(),
            event_types=(EVENT_TYPE,),
            sources=(source_id,),
            target=target,
        )
        endpoint = _checked(endpoints.edited(endpoint, wanted))
        await self._endpoints.create(endpoint)
        return endpoint

    async def edit_target(
        self,
        source_id: str,
        conversion_id: str,
        settings: Settings,
        wanted: endpoints.Wanted,
        *,
        active: bool | None = None,
    ) -> Endpoint:
        """Change what is given.

        Raises `ConversionUnknown`, `EditConflict`, and `InvalidRequest` for a setting that the
        target does not have.
        """
        seen = await self.target(source_id, conversion_id)
        known = _settings_of(seen.target)
        target = _with(_TARGETS[seen.kind], known, settings)
        changed = replace(seen, target=target)
        if _url_of(target) and seen.url == _url_of(seen.target):
            changed = replace(changed, url=_url_of(target))
        changed = _checked(endpoints.switched(endpoints.edited(changed, wanted), active=active))
        await self._endpoints.replace(seen, changed)
        return changed

    async def target(self, source_id: str, conversion_id: str) -> Endpoint:
        """One target of a source. Raises `ConversionUnknown`."""
        await self._sources.read(source_id)
        try:
            found = await self._endpoints.get(conversion_id)
        except EndpointUnknown as error:
            raise _unknown() from error
        if found.target is None or found.sources != (source_id,):
            raise _unknown()
        return found

    async def add_file(self, source_id: str, kind: FileKind, settings: Settings) -> Made:
        """Offer a file of a source's qualified calls; the token is told this once."""
        source = await self._check_room(source_id)
        token = new_file_token()
        file = ConversionFile(
            id=new_conversion_id(),
            kind=kind,
            token_sha256=hashed(token),
            created_ms=_now_ms(),
            **settings,
        )
        await self._sources.replace(source, replace(source, files=(*source.files, file)))
        return Made(file, token)

    async def edit_file(
        self, source_id: str, conversion_id: str, settings: Settings
    ) -> ConversionFile:
        """Change what is given. Raises `ConversionUnknown`, `InvalidRequest`."""
        source = await self._sources.read(source_id)
        seen = _file_of(source, conversion_id)
        strange = [name for name in settings if name not in ConversionFile.__dataclass_fields__]
        if strange:
            raise InvalidRequest.at(strange[0], "A file has no such setting.")
        file = replace(seen, **settings)
        await self._put_file(source, file)
        return file

    async def renew_token(self, source_id: str, conversion_id: str) -> Made:
        """Give a file a new token; the one before opens nothing any more."""
        source = await self._sources.read(source_id)
        token = new_file_token()
        file = replace(_file_of(source, conversion_id), token_sha256=hashed(token))
        await self._put_file(source, file)
        return Made(file, token)

    async def is_file(self, source_id: str, conversion_id: str) -> bool:
        """Whether a conversion of this id is a file of the source."""
        source = await self._sources.read(source_id)
        return any(file.id == conversion_id for file in source.files)

    async def delete(self, source_id: str, conversion_id: str) -> None:
        """Report nothing there any more; what waits is forgotten. Raises `ConversionUnknown`."""
        source = await self._sources.read(source_id)
        if any(file.id == conversion_id for file in source.files):
            left = tuple(file for file in source.files if file.id != conversion_id)
            await self._sources.replace(source, replace(source, files=left))
            return
        found = await self.target(source_id, conversion_id)
        await self._endpoints.delete(found.id)

    async def delete_source(self, source_id: str) -> None:
        """Forget a source with all its conversions. Pools that name it go on without."""
        await self._sources.read(source_id)
        for endpoint in await self._targets(source_id):
            await self._endpoints.delete(endpoint.id)
        await self._sources.delete(source_id)

    async def _targets(self, source_id: str) -> list[Endpoint]:
        return [
            each
            for each in await self._endpoints.all()
            if each.target is not None and each.sources == (source_id,)
        ]

    async def _check_room(self, source_id: str) -> TrafficSource:
        source = await self._sources.read(source_id)
        if len(source.files) + len(await self._targets(source_id)) >= MOST_CONVERSIONS:
            message = f"A traffic source has at most {MOST_CONVERSIONS} conversions."
            raise InvalidRequest(message)
        return source

    async def _put_file(self, source: TrafficSource, file: ConversionFile) -> None:
        files = tuple(file if each.id == file.id else each for each in source.files)
        await self._sources.replace(source, replace(source, files=files))


def _with(
    made: type[Ga4Target | MetaTarget | PostbackTarget], known: Settings, settings: Settings
) -> Target:
    names = {field.name for field in fields(made)} - {"kind"}
    for name in settings:
        if name not in names:
            raise InvalidRequest.at(name, "A conversion of this kind has no such setting.")
    return made(**{**known, **settings})


def _settings_of(target: Target | None) -> Settings:
    return {} if target is None else {
        field.name: getattr(target, field.name) for field in fields(target) if field.name != "kind"
    }  # fmt: skip


def _url_of(target: Target | None) -> str:
    """Where the vendor takes it; empty for a postback, which has no vendor."""
    if isinstance(target, Ga4Target):
        return ga4.URL
    return meta.url_of(target.pixel_id) if isinstance(target, MetaTarget) else ""


def _checked(endpoint: Endpoint) -> Endpoint:
    target = endpoint.target
    if not endpoint.url:
        raise InvalidRequest.at("url", "A postback needs a URL.")
    if isinstance(target, PostbackTarget):
        problem = postback.problem_of(endpoint.url) or postback.problem_of(target.form)
        if problem:
            raise InvalidRequest.at("url", problem)
        if target.form and target.method == "GET":
            raise InvalidRequest.at("form", "Only a POST carries a form.")
    elif "?" in endpoint.url:
        raise InvalidRequest.at("url", "Without a query: that is where the credentials go.")
    needs_money = isinstance(target, MetaTarget) and target.event_name == "Purchase"
    if target is not None and (needs_money or target.value is not None) and not target.currency:
        raise InvalidRequest.at("currency", "A value needs a currency.")
    if needs_money and target is not None and target.value is None:
        raise InvalidRequest.at(
            "value", "Meta wants a value for each Purchase; name one for calls without."
        )
    return endpoint


def _file_of(source: TrafficSource, conversion_id: str) -> ConversionFile:
    found = next((file for file in source.files if file.id == conversion_id), None)
    if found is None:
        raise _unknown()
    return found


def _unknown() -> ConversionUnknown:
    return ConversionUnknown("The traffic source has no conversion of this id.")


def _now_ms() -> int:
    return int(time.time() * 1000)
