-- Give an endpoint its position in this shard's outbox, or wake the position it had.
-- Replies: {OK, position}: the last entry that is none of its business, `<ms>-<sequence>`.
-- Idempotent: a position that is there is kept. O(1).
local events   = KEYS[1]  -- STREAM, the outbox of the shard
local cursors  = KEYS[2]  -- HASH endpoint -> position; `~` before it: suspended
local health   = KEYS[3]  -- HASH, how the endpoint fared here
local endpoint = ARGV[1]  -- id of the endpoint
local start    = ARGV[2]  -- now: what happens from here on; oldest: all that is kept

local position = redis.call("HGET", cursors, endpoint)
if position then
  if string.sub(position, 1, 1) == "~" then
    -- Enabled again: its failures of before do not count.
    redis.call("DEL", health)
  end
  position = string.gsub(position, "^~", "")
else
  position = "0-0"
  if start == "now" then
    local newest = redis.call("XREVRANGE", events, "+", "-", "COUNT", 1)
    position = newest[1] and newest[1][1] or position
  end
end
redis.call("HSET", cursors, endpoint, position)
return {"OK", position}
