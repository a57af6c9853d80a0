-- A visitor has been erased everywhere: forget the note and tell the outside world, in one step.
-- Replies: {TOLD}; {DONE}: somebody else has told. Idempotent. O(1).
local erasing    = KEYS[1]  -- HASH visitor -> since, ms
local events     = KEYS[2]  -- STREAM, the outbox of the shard
local given_now  = ARGV[1]  -- ms, or empty: Redis TIME
local visitor_id = ARGV[2]  -- id of the visitor

--@include lib/clock

if redis.call("HDEL", erasing, visitor_id) == 0 then
  return {"DONE"}
end
redis.call("XADD", events, "*", "t", "visitor.erased", "v", visitor_id,
  "w", string.format("%.0f", clock(given_now)))
return {"TOLD"}
