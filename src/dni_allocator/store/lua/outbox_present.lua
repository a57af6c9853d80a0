-- A forwarder says that it is alive, and learns how many are, itself included.
-- Replies: {OK, count}. Idempotent. O(log forwarders).
local forwarders = KEYS[1]            -- ZSET token of a forwarder -> last sign of life, ms
local given_now  = ARGV[1]            -- ms, or empty: Redis TIME
local token      = ARGV[2]            -- token of the caller
local ttl        = tonumber(ARGV[3])  -- ms of silence after which one is dead; 0: the caller leaves

--@include lib/clock

local now = clock(given_now)
if ttl == 0 then
  redis.call("ZREM", forwarders, token)
else
  -- First: so it is done also when the server's memory is full (lib/full).
  redis.call("ZREMRANGEBYSCORE", forwarders, "-inf", "(" .. string.format("%.0f", now - ttl))
  -- From before the clock went back: who lives tells of it again.
  redis.call("ZREMRANGEBYSCORE", forwarders, "(" .. string.format("%.0f", now), "+inf")
  redis.call("ZADD", forwarders, now, token)
end
return {"OK", tostring(redis.call("ZCARD", forwarders))}
