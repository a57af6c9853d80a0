-- The pools of a shard that have something to sweep now.
-- Replies: {OK, now, pool…}. Reads only. O(log pools + limit).
local due       = KEYS[1]    -- ZSET pool -> lower bound of its next deadline, ms
local given_now = ARGV[1]    -- ms, or empty: Redis TIME
local limit     = ARGV[2]    -- most pools to name

--@include lib/clock

local now = clock(given_now)
local reply = redis.call("ZRANGEBYSCORE", due, "-inf", now, "LIMIT", 0, limit)
table.insert(reply, 1, tostring(now))
table.insert(reply, 1, "OK")
return reply
