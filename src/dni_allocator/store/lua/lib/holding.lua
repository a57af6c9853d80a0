-- A number that was called is held for a while: its visitor keeps it, or gets it back; nobody else
-- is given it. Leases and their deadlines are not touched.
--@needs conf leased holders numbers free resting notes due pool_id
--@include lib/states
--@include lib/quarantine

-- `fence`: of the lease the call is attributed to, empty without one. A number that somebody else
-- leases by now is not held: they have it anyway.
local function hold_number(number, fence, ends_at, note)
  local stored = redis.call("HGET", numbers, number)
  local _, state = unpack_number(stored or "")
  if state ~= "" and state ~= HELD then
    return -- no number of the pool, about to leave it, or in quarantine
  end
  if redis.call("ZSCORE", leased, number) then
    local _, _, _, its_fence = unpack_holder(redis.call("HGET", holders, number))
    if its_fence ~= fence then
      return
    end
  end
  local held_until = state == HELD and redis.call("ZSCORE", resting, number)
  if not held_until or tonumber(held_until) < ends_at then
    set_aside(number, stored, HELD, ends_at, note)
  end
end
