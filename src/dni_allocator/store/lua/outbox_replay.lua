-- Send events to an endpoint again: copies are parked as retries that are due.
-- Replies: {OK, parked}; {GONE}: the endpoint has no position here, nothing was written.
-- Idempotent until one is delivered. O(rows).
local cursors      = KEYS[1]   -- HASH endpoint -> position
local retries      = KEYS[2]   -- ZSET entry -> due at, ms
local dead_letters = KEYS[3]   -- ZSET entry -> dead since, ms
local parked       = KEYS[4]   -- HASH entry -> copy of the event
local given_now    = ARGV[1]   -- ms, or empty: Redis TIME
local endpoint     = ARGV[2]   -- id of the endpoint
-- rows            = ARGV[3...] -- entry, copy of the event (JSON): two values a row

--@include lib/clock

if redis.call("HEXISTS", cursors, endpoint) == 0 then
  return {"GONE"}
end
local now = clock(given_now)
for at = 3, #ARGV, 2 do
  redis.call("HSET", parked, ARGV[at], ARGV[at + 1])
  redis.call("ZADD", retries, now, ARGV[at])
  redis.call("ZREM", dead_letters, ARGV[at])
end
return {"OK", tostring((#ARGV - 2) / 2)}
