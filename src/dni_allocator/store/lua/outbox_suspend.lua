-- A disabled endpoint keeps its position, but trimming no longer waits for it. Its home shard tells
-- the others, once.
-- Replies: {OK}; {GONE}: it has no position here. Idempotent. O(1).
local cursors   = KEYS[1]  -- HASH endpoint -> position
local events    = KEYS[2]  -- STREAM, the outbox of the shard
local given_now = ARGV[1]  -- ms, or empty: Redis TIME
local endpoint  = ARGV[2]  -- id of the endpoint
local reason    = ARGV[3]  -- why, in a word; empty: another shard tells

--@include lib/clock

local position = redis.call("HGET", cursors, endpoint)
if not position then
  return {"GONE"}
end
if string.sub(position, 1, 1) ~= "~" then
  -- Also when the server's memory is full (lib/full): a write that changes nothing comes first.
  redis.call("HDEL", cursors, "")
  redis.call("HSET", cursors, endpoint, "~" .. position)
  if reason ~= "" then
    redis.call("XADD", events, "*", "t", "endpoint.disabled", "endpoint_id", endpoint,
      "w", string.format("%.0f", clock(given_now)), "r", reason)
  end
end
return {"OK"}
