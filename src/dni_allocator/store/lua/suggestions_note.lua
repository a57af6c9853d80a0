-- Remember destinations that pages showed and the pool does not know, the latest ones.
-- Replies: {OK}; {GONE}: no such pool. Idempotent. O(rows).
local conf      = KEYS[1]              -- HASH of the pool
local suggested = KEYS[2]              -- ZSET destination -> last seen, ms
local given_now = ARGV[1]              -- ms, or empty: Redis TIME
local most      = tonumber(ARGV[2])    -- how many to keep
-- rows         = ARGV[3...]           -- destination

--@include lib/clock

local MONTH = 2592000000 -- ms

if redis.call("HEXISTS", conf, "rev") == 0 then
  return {"GONE"}
end
local now = clock(given_now)
for at = 3, #ARGV do
  redis.call("ZADD", suggested, now, ARGV[at])
end
redis.call("ZREMRANGEBYRANK", suggested, 0, -most - 1)
redis.call("PEXPIRE", suggested, MONTH)
return {"OK"}
