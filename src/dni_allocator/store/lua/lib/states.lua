-- What a number's state says of where it lies when nobody leases it. Apart from the records: what
-- every page view reads need not know it.

-- State of numbers that are not given to anyone for a while, and the shelf they lie on meanwhile.
local QUARANTINE = "quarantined"
-- State of numbers that were called: for a while given to nobody but who had them, on that shelf.
local HELD = "held"
