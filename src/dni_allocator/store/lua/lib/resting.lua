--@include lib/records

-- The shelf a number lies on when nobody holds it.
local function shelf_of_free(packed)
  local shelf, state = unpack_number(packed)
  return is_set_aside(state) and QUARANTINE or shelf
end
