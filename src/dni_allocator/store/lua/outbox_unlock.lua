-- Give the right to serve back, so that another forwarder need not wait for the TTL.
-- Replies: {OK}, also when it was not the caller's. Idempotent. O(1).
local lock  = KEYS[1]  -- STRING with a TTL: token of the forwarder
local token = ARGV[1]  -- token of the caller

if redis.call("GET", lock) == token then
  redis.call("DEL", lock)
end
return {"OK"}
