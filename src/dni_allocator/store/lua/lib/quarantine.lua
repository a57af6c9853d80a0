-- Numbers that are set aside for a while: their state says so, and once they are free they lie on
-- a shelf of their own.
--@needs conf numbers free resting notes due pool_id
--@include lib/resting
--@include lib/records
--@include lib/moving

local function set_state(number, stored, state)
  local shelf, _, national, international, facts = unpack_number(stored)
  local fields = {shelf, state, national, international, facts}
  redis.call("HSET", numbers, number, table.concat(fields, "\t"))
  return shelf
end

-- `state` is QUARANTINE or HELD; `note` JSON text; `ends_at` ms, or "+inf".
local function set_aside(number, stored, state, ends_at, note)
  local shelf = set_state(number, stored, state)
  move_free(number, shelf, QUARANTINE)
  redis.call("HSET", notes, number, note)
  redis.call("ZADD", resting, ends_at, number)
  if ends_at ~= "+inf" then
    redis.call("ZADD", due, "LT", ends_at, pool_id)
  end
end

-- The note of a quarantine that begins now; `reason` is a JSON string.
local function quarantine_note(reason, now)
  return '{"reason":' .. reason .. ',"since_ms":' .. string.format("%.0f", now) .. "}"
end

-- Back to its own shelf, if it is still in quarantine; true if it was.
local function end_quarantine(number)
  redis.call("HDEL", notes, number)
  redis.call("ZREM", resting, number)
  local stored = redis.call("HGET", numbers, number)
  local _, state = unpack_number(stored or "")
  if not is_set_aside(state) then
    return false
  end
  move_free(number, QUARANTINE, set_state(number, stored, ""))
  return true
end
