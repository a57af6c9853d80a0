-- Forget dead letters that nobody asked for in time, and parked events of an endpoint that has been
-- disabled as long: they name visitors.
-- Replies: {OK, forgotten}. Idempotent. O(limit).
local dead_letters = KEYS[1]            -- ZSET entry -> dead since, ms
local parked       = KEYS[2]            -- HASH entry -> copy of the event
local retries      = KEYS[3]            -- ZSET entry -> due at, ms
local given_now    = ARGV[1]            -- ms, or empty: Redis TIME
local keep_for     = tonumber(ARGV[2])  -- how long to keep a dead letter, ms
local limit        = ARGV[3]            -- most to forget of each kind in one run

--@include lib/clock

local horizon = string.format("%.0f", clock(given_now) - keep_for)
local forgotten = 0
for _, kept in ipairs({dead_letters, retries}) do
  for _, entry in ipairs(redis.call("ZRANGEBYSCORE", kept, "-inf", horizon, "LIMIT", 0, limit)) do
    redis.call("ZREM", kept, entry)
    redis.call("HDEL", parked, entry)
    forgotten = forgotten + 1
  end
end
return {"OK", tostring(forgotten)}
