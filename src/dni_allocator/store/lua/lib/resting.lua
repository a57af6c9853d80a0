--@include lib/records

-- The shelf a number lies on when nobody holds it.
local function shelf_of_free(packed)
  local shelf, state = unpack_number(packed)
  return state == QUARANTINE and QUARANTINE or shelf
end
