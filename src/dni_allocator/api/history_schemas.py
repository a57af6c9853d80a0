"""The shapes of a pool's history, as dashboards and capacity planning read it."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from dni_allocator.domain.history import Resolution


class EndsOut(BaseModel):
    """Leases that ended, by how."""

    closed: int = Field(description="The last page closed and its beacon came.")
    idle: int = Field(description="The visitor fell silent: the beacon was lost.")
    otherwise: int = Field(description="By pressure, by age, or because the number was detached.")


class LeasedOut(BaseModel):
    """How many numbers were leased at a time, sampled every few seconds."""

    mean: float
    peak: int
    numbers: float = Field(description="Mean of the numbers in circulation.")


class ReuseGapsOut(BaseModel):
    """How long numbers rested before somebody else got them: quantiles, right to a fifth."""

    count: int
    p05_s: float
    p25_s: float
    p50_s: float
    p75_s: float
    p95_s: float


class BucketOut(BaseModel):
    """A minute or an hour."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    start: datetime
    arrivals: int = Field(description="New leases, those of returning visitors among them.")
    returned: int
    ended: EndsOut
    mean_hold_s: float | None = Field(description="Of the leases that ended; null: none did.")
    overflow: int = Field(description="Page views that were shown an overflow number.")
    turned_away: int = Field(description="Page views that were shown the original.")
    leased: LeasedOut | None = Field(description="null: not in use, or nobody looked.")
    busiest_minute: int = Field(description="Most arrivals in one minute.")
    reuse_gaps: ReuseGapsOut | None = Field(description="Of hours only; null: there were none.")


class HistoryOut(BaseModel):
    """Buckets without a hole, oldest first; the last may still be under way."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    pool_id: str
    resolution: Resolution
    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    buckets: list[BucketOut]
