-- A disabled endpoint keeps its position, but trimming no longer waits for it.
-- Replies: {OK}; {GONE}: it has no position here. Idempotent. O(1).
local cursors  = KEYS[1]  -- HASH endpoint -> position; `~` before it: suspended
local endpoint = ARGV[1]  -- id of the endpoint

local position = redis.call("HGET", cursors, endpoint)
if not position then
  return {"GONE"}
end
if string.sub(position, 1, 1) ~= "~" then
  redis.call("HSET", cursors, endpoint, "~" .. position)
end
return {"OK"}
