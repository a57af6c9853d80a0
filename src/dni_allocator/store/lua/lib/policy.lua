-- What a pool's settings ask for beyond the plain lock, as `policy`: empty, or numbers separated
-- by tabs, in the order below (written by store/policies.py). Zero switches a rule off.
--@needs policy

local hold, max_age, provisional = 0, 0, 0
local threshold, pressed_idle, reserve = 0, 0, 0
local address_interval, address_burst, visitor_interval, visitor_burst, address_cap = 0, 0, 0, 0, 0
local matching, unmatched_see_original, limited_see_overflow = false, false, false
if policy ~= "" then
  local values = {}
  for value in string.gmatch(policy, "[^\t]+") do
    values[#values + 1] = tonumber(value)
  end
  hold, max_age, provisional = values[1], values[2], values[3]        -- ms
  threshold, pressed_idle, reserve = values[4], values[5], values[6]  -- share, ms, share
  address_interval, address_burst = values[7], values[8]              -- ms, new leases
  visitor_interval, visitor_burst = values[9], values[10]             -- ms, new leases
  address_cap = values[11]                                            -- live leases
  matching, unmatched_see_original = values[12] == 1, values[13] == 1
  limited_see_overflow = values[14] == 1
end

-- Deadline of a lease begun at `from` after a sign of life at `now`: `span` later, but not before
-- its minimum hold is over, and never after its maximum age (now, if a new one is past already).
local function lock_until(now, from, span)
  local deadline = now + span
  if hold > 0 and from + hold > deadline then
    deadline = from + hold
  end
  if max_age > 0 and from + max_age < deadline then
    deadline = math.max(now, from + max_age)
  end
  return deadline
end
