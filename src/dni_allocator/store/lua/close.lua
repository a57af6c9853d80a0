-- A page of the visitor closed. If it was the last open one, the lock shortens to
-- min(deadline, now + closed-browser delay), not below a minimum hold; it never lengthens. A page
-- that is not known, or was closed before, changes nothing: late and repeated beacons are harmless.
-- Replies: {CLOSED, now, deadline}: the last page closed; {OPEN}: others are open;
--          {NONE}: nothing changed; {STALE}: the pool was edited; {GONE}: no such pool.
-- Idempotent. O(leases + open pages of the visitor).
local conf       = KEYS[1]              -- HASH of the pool: rev, …
local leased     = KEYS[2]              -- ZSET number -> deadline, ms
local holders    = KEYS[3]              -- HASH number -> packed holder
local visitor    = KEYS[4]              -- HASH of this visitor: l, p:<page>, c
local due        = KEYS[5]              -- ZSET pool -> lower bound of its next deadline, ms
local given_now  = ARGV[1]              -- ms, or empty: Redis TIME
local rev        = ARGV[2]              -- revision of the pool the caller decided by
local pool_id    = ARGV[3]              -- id of the pool
local visitor_id = ARGV[4]              -- id of the visitor
local page_id    = ARGV[5]              -- id of the page
local idle       = tonumber(ARGV[6])    -- idle limit, ms
local delay      = tonumber(ARGV[7])    -- closed-browser delay, ms
local policy     = ARGV[8]              -- further rules of the pool (lib/policy), or empty

--@include lib/revision
--@include lib/clock
--@include lib/policy
--@include lib/claims
--@include lib/owned

local now = clock(given_now)
if redis.call("HDEL", visitor, "p:" .. page_id) == 0 then
  return {"NONE"}
end
local fields = redis.call("HGETALL", visitor)
for i = 1, #fields, 2 do
  -- A page that fell silent for the idle limit is not open: its beacon was lost.
  if string.sub(fields[i], 1, 2) == "p:" and tonumber(fields[i + 1]) + idle > now then
    return {"OPEN"}
  end
end
local latest
for _, number, fence in claims_in(redis.call("HGET", visitor, "l") or "") do
  local before, from = own_lease(number, fence)
  if before and before > now then
    local deadline = math.min(before, lock_until(now, from, delay))
    redis.call("ZADD", leased, deadline, number)
    redis.call("ZADD", due, "LT", deadline, pool_id)
    latest = math.max(latest or deadline, deadline)
  end
end
if not latest then
  return {"NONE"}
end
redis.call("HSET", visitor, "c", now)
return {"CLOSED", tostring(now), tostring(latest)}
