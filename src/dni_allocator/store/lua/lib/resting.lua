-- Where a number lies that nobody holds.
--@include lib/states
--@include lib/records

-- Whether a number of this state lies on the shelf `QUARANTINE` when it is free.
local function is_set_aside(state)
  return state == QUARANTINE or state == HELD
end

-- The shelf a number lies on when nobody holds it.
local function shelf_of_free(packed)
  local shelf, state = unpack_number(packed)
  return is_set_aside(state) and QUARANTINE or shelf
end
