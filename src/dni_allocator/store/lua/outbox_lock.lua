-- Take, or keep, the right to serve one endpoint's part of the shard.
-- Replies: {MINE}: until ttl from now; {TAKEN}: somebody else serves it. Idempotent. O(1).
local lock  = KEYS[1]  -- STRING with a TTL: token of the forwarder
local token = ARGV[1]  -- token of the caller
local ttl   = ARGV[2]  -- ms

local owner = redis.call("GET", lock)
if owner and owner ~= token then
  return {"TAKEN"}
end
redis.call("SET", lock, token, "PX", ttl)
return {"MINE"}
