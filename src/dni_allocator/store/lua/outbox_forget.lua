-- Forget dead letters that nobody asked for in time: they name visitors.
-- Replies: {OK, forgotten}. Idempotent. O(limit).
local dead_letters = KEYS[1]            -- ZSET entry -> dead since, ms
local parked       = KEYS[2]            -- HASH entry -> copy of the event
local given_now    = ARGV[1]            -- ms, or empty: Redis TIME
local keep_for     = tonumber(ARGV[2])  -- how long to keep a dead letter, ms
local limit        = ARGV[3]            -- most dead letters to forget in one run

--@include lib/clock

local horizon = string.format("%.0f", clock(given_now) - keep_for)
local old = redis.call("ZRANGEBYSCORE", dead_letters, "-inf", horizon, "LIMIT", 0, limit)
for _, entry in ipairs(old) do
  redis.call("ZREM", dead_letters, entry)
  redis.call("HDEL", parked, entry)
end
return {"OK", tostring(#old)}
