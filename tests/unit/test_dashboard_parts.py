"""Charts and forms of the dashboard, without a page around them."""

from starlette.datastructures import FormData

from dni_allocator.api.pool_schemas import PoolCreate
from dni_allocator.dashboard.charts import Series, area, sparkline
from dni_allocator.dashboard.forms import AUTOSCALE, POOL, FilledForm, ScalingForm


def test_a_line_is_broken_where_nothing_is_known() -> None:
    """An hour without a service is a hole, not a slope from before to after."""
    drawn = sparkline([1, 2, None, 3, 4], "leased")

    assert drawn.count("<polyline") == 2


def test_a_single_point_is_seen() -> None:
    """A line of one point has no length: it is drawn twice, and its round ends show."""
    points = sparkline([5], "leased").partition('points="')[2].partition('"')[0]

    assert len(points.split()) == 2


def test_nothing_known_is_an_empty_chart() -> None:
    """A new pool has a page, too."""
    drawn = area([Series("leased", "leased", [None, None])], ["00:00", "01:00"], "Occupancy")

    assert "<polyline" not in drawn
    assert "00:00" in drawn


def test_charts_escape_what_they_are_told() -> None:
    """Labels are texts, never markup."""
    drawn = area([Series("<b>", "leased", [1])], ["<i>"], '"><script>')

    assert "<script>" not in drawn
    assert "<b>" not in drawn
    assert "<i>" not in drawn


def test_the_highest_point_stays_within() -> None:
    """The scale follows the largest value of all lines."""
    drawn = area(
        [Series("a", "leased", [1, 50]), Series("b", "peak", [100, 0])], ["0", "1"], "Both"
    )

    assert ">100<" in drawn
    ys = [float(p.split(",")[1]) for p in drawn.split('points="')[2].split('"')[0].split()]
    assert min(ys) >= 0


def test_every_setting_of_a_pool_is_in_the_form() -> None:
    """A setting that is added to the API shows up here by itself."""
    named = {field.name for _, fields in FilledForm.of(POOL, {}).groups for field in fields}

    assert named == set(PoolCreate.model_fields)


def test_an_empty_form_is_a_pool_of_defaults() -> None:
    """Sent with a name and a destination only, the form means what the shortest JSON means."""
    empty = FormData(
        {field.name: field.text for field in FilledForm.of(POOL, {}).fields}
        | {"name": "Shop", "destinations": "(602) 313-3897"}
    )

    read = PoolCreate.model_validate(FilledForm.typed(POOL, empty).body())

    assert read == PoolCreate.model_validate({"name": "Shop", "destinations": ["(602) 313-3897"]})


def test_every_rule_of_autoscale_is_in_the_form() -> None:
    """And so are the two bounds that are the pool's own; sent as it is, it means the defaults."""
    form = FilledForm.of(AUTOSCALE, {})
    sent = FormData({field.name: field.text for field in form.fields})

    read = ScalingForm.model_validate(FilledForm.typed(AUTOSCALE, sent).body())

    assert {field.name for _, fields in form.groups for field in fields} == set(
        ScalingForm.model_fields
    )
    assert read == ScalingForm()


def test_marketing_fields_are_a_name_a_line() -> None:
    """Nobody types brackets for a list of names; where more is said of one, it is JSON."""

    def typed(text: str) -> object:
        form = FilledForm.typed(POOL, FormData({"marketing_fields": text}))
        return form.body().get("marketing_fields")

    names = ["gclid", "utm_source"]
    whole = [{"name": "crm_id", "sources": [{"kind": "cookie", "name": "crm"}]}]

    def shown(value: object) -> str:
        form = FilledForm.of(POOL, {"marketing_fields": value})
        (field,) = [each for each in form.fields if each.name == "marketing_fields"]
        return field.text

    assert typed("gclid\n utm_source \n") == names
    assert typed(shown(names)) == names
    assert typed(shown(whole)) == whole
    assert typed("[gclid") == "[gclid", "what is unreadable stays, to be refused"


def test_money_is_not_rounded_by_a_form() -> None:
    """What was typed is a decimal number all the way."""
    typed = FilledForm.typed(AUTOSCALE, FormData({"budget_per_month": "40.10", "currency": "USD"}))

    (budget,) = [each for each in typed.fields if each.name == "budget_per_month"]
    assert (budget.kind, budget.value) == ("money", "40.10")


def test_a_finding_inside_a_list_is_shown_at_its_field() -> None:
    """`destinations.3` is about the field `destinations`."""
    form = FilledForm.of(POOL, {}).marked([{"field": "destinations.3", "detail": "no number"}])

    (field,) = [each for each in form.fields if each.error]
    assert (field.name, field.error) == ("destinations", "no number")


def test_a_finding_about_no_field_is_not_lost() -> None:
    """It stands above the form."""
    form = FilledForm.of(POOL, {}).marked([{"field": "elsewhere", "detail": "is wrong"}])

    assert form.problem == "elsewhere: is wrong"
