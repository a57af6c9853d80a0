"""A pool's rules of autoscale: what they are, what they would do now, the form that sets them."""

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from dni_allocator.api.errors import validation_errors
from dni_allocator.api.pool_schemas import PoolEdit
from dni_allocator.api.routes import pools as pools_api
from dni_allocator.api.routes import scaling as api
from dni_allocator.api.scaling_schemas import ScalingBody
from dni_allocator.dashboard.access import Operator, PageRoute, Person, Viewer
from dni_allocator.dashboard.forms import AUTOSCALE, FilledForm, ScalingForm
from dni_allocator.dashboard.page import render
from dni_allocator.domain.errors import (
    EditConflict,
    InvalidRequest,
    VendorNotConfigured,
    VendorUnknown,
)
from dni_allocator.domain.pool import Pool

router = APIRouter(
    prefix="/dashboard/pools/{pool_id}/autoscale", route_class=PageRoute, include_in_schema=False
)

_DECISIONS = 10
_BOUNDS = ("min_size", "max_size")


@router.get("")
async def autoscale_page(request: Request, pool_id: str, person: Viewer) -> Response:
    """What the rules would do this moment, what they did, and the form."""
    pool = await person.services.pools.read(pool_id)
    rules = (await api.read_scaling(pool_id, person.services)).rules
    told = {} if rules is None else rules.model_dump(mode="json")
    bounds = {"min_size": pool.settings.min_size, "max_size": pool.settings.max_size}
    form = FilledForm.of(AUTOSCALE, told | bounds, revision=pool.revision)
    return await _page(request, person, pool, form)


@router.post("")
async def save_rules(request: Request, pool_id: str, person: Operator) -> Response:
    """Put the rules and the bounds, or show the form again with what is wrong."""
    form = FilledForm.typed(AUTOSCALE, await request.form())
    pool = await person.services.pools.read(pool_id)
    if form.revision != str(pool.revision):
        late = "Somebody else edited the pool meanwhile. Load the form again."
        return await _page(request, person, pool, form.marked(None, late), status=409)
    try:
        await _save(pool, ScalingForm.model_validate(form.body()), person)
    except ValidationError as error:
        found = validation_errors(error.errors(include_url=False, include_input=False))
        form = form.marked(found)
    except (VendorUnknown, VendorNotConfigured) as error:
        form = form.marked([{"field": "vendor", "detail": error.detail}])
    except (InvalidRequest, EditConflict) as error:
        form = form.marked(error.extra.get("errors"), error.detail)
    else:
        return RedirectResponse(f"/dashboard/pools/{pool_id}/autoscale?done=ruled", 303)
    return await _page(request, person, pool, form, status=422)


async def _save(pool: Pool, sent: ScalingForm, person: Person) -> None:
    services = person.services
    rules = ScalingBody.model_validate(sent.model_dump(exclude=set(_BOUNDS)))
    # All is looked at before anything is written: the bounds and the rules are two records.
    await services.scaling.checked(pool.id, rules.rules(""))
    if (sent.min_size, sent.max_size) != (pool.settings.min_size, pool.settings.max_size):
        bounds = {name: getattr(sent, name) for name in _BOUNDS}
        await pools_api.edit_pool(pool.id, PoolEdit.model_validate(bounds), services)
    await api.put_scaling(pool.id, rules, services)


@router.post("/stop")
async def stop(pool_id: str, person: Operator) -> Response:
    """Forget the rules; what is under way comes to its end."""
    await api.delete_scaling(pool_id, person.services)
    return RedirectResponse(f"/dashboard/pools/{pool_id}/autoscale?done=unruled", 303)


async def _page(
    request: Request, person: Person, pool: Pool, form: FilledForm, *, status: int = 200
) -> Response:
    services = person.services
    scaling, decisions = await asyncio.gather(
        api.read_scaling(pool.id, services),
        services.scaling.page(cursor=None, limit=_DECISIONS, pool_id=pool.id),
    )
    ready = [name for name, missing in services.shops.names().items() if not missing]
    return render(
        request,
        "autoscale.html",
        status=status,
        person=person,
        pool=pool,
        scaling=scaling,
        decisions=decisions.items,
        pools={pool.id: pool.settings.name},
        form=form.offering("vendor", ready),
    )
