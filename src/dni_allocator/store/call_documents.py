"""A call as the JSON text that is stored, and back; what is remembered of a caller, packed."""

from decimal import Decimal

import orjson

from dni_allocator.domain.attribution import Basis, Holder, Memory
from dni_allocator.domain.call import Call, CallStatus, Claim


def dump_call(call: Call) -> str:
    """The document of a call; equal for equal calls."""
    return orjson.dumps(call, default=str).decode()


def load_call(document: str) -> Call:
    """Read a document. What it does not have is of a later version: defaults."""
    record = orjson.loads(document)
    record["basis"] = Basis(record["basis"])
    record["status"] = CallStatus(record["status"])
    record["value"] = None if record["value"] is None else Decimal(record["value"])
    record["claims"] = tuple(
        Claim(**{**each, "basis": Basis(each["basis"])}) for each in record["claims"]
    )
    return Call(**record)


def pack_memory(call: Call, holder: Holder | None) -> str:
    """What is remembered of the caller by this call (`lua/lib/remembering.lua`)."""
    packed = ""
    if holder is not None:
        packed = "\t".join(
            (holder.visitor_id, holder.destination, str(holder.from_ms), holder.fence, holder.data)
        )
    return f"{call.started_ms}\t{call.confidence if holder else 0}\t{packed}"


def unpack_memory(number: str, packed: str) -> Memory | None:
    """The memory of a number; None where nobody was known then."""
    at_ms, confidence, holder = packed.split("\t", 2)
    if not holder:
        return None
    visitor_id, destination, from_ms, fence, data = holder.split("\t", 4)
    return Memory(
        number=number,
        at_ms=int(at_ms),
        confidence=float(confidence),
        holder=Holder(
            visitor_id=visitor_id,
            destination=destination,
            from_ms=int(from_ms),
            until_ms=None,
            closed_ms=None,
            fence=fence,
            data=data,
        ),
    )
