-- Note that a visitor is being erased, so that somebody finishes it if this process cannot.
-- Replies: {OK, since ms}. Idempotent. O(1).
local erasing    = KEYS[1]            -- HASH visitor -> since, ms; with a TTL
local given_now  = ARGV[1]            -- ms, or empty: Redis TIME
local visitor_id = ARGV[2]            -- id of the visitor
local keep       = tonumber(ARGV[3])  -- ms, after which an unfinished note is given up

--@include lib/clock

-- Also when the server's memory is full (lib/full): a write that changes nothing comes first.
redis.call("HDEL", erasing, "")
redis.call("HSETNX", erasing, visitor_id, string.format("%.0f", clock(given_now)))
redis.call("PEXPIRE", erasing, keep)
return {"OK", redis.call("HGET", erasing, visitor_id)}
