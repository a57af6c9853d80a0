-- A sign of life of one page: every live lease of the visitor gets a new deadline.
-- Replies: {OK, now, deadline}; {NONE}: the visitor holds nothing (any more), assign again;
--          {STALE}: the pool was edited since the caller read it; {GONE}: no such pool.
-- Idempotent. O(leases of the visitor).
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
local window     = tonumber(ARGV[7])    -- attribution window, ms
local policy     = ARGV[8]              -- further rules of the pool (lib/policy), or empty

--@include lib/revision
--@include lib/clock
--@include lib/claims
--@include lib/owned
--@include lib/full
--@include lib/pages

local now, now_text = clock(given_now)
local record = redis.call("HMGET", visitor, "l", "x")
-- With several leases the answer is the soonest deadline: until then all is well.
local soonest
for _, number, fence in claims_in(record[1] or "") do
  local before, from = own_lease(number, fence)
  if before and before > now then
    local deadline = lock_until(now, from, idle)
    keep_lease(number, deadline)
    if deadline < before then
      redis.call("ZADD", due, "LT", deadline, pool_id) -- the rules were tightened
    end
    soonest = math.min(soonest or deadline, deadline)
  end
end
if not soonest then
  return {"NONE"}
end
if provisional > 0 then
  redis.call("HSET", visitor, "h", "1") -- a tag that beats: its leases are not on trial any more
end
open_page(page_id, now, record[2])
return {"OK", now_text, tostring(soonest)}
