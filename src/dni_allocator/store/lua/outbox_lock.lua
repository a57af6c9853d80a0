-- Take, or keep, the right to serve one endpoint's part of the shard.
-- Replies: {MINE}: until ttl from now; {TAKEN}: somebody else serves it. Idempotent. O(1).
-- Also while the server's memory is full: who holds such a lock frees some (lib/full).
local lock  = KEYS[1]  -- STRING with a TTL: token of the forwarder
local token = ARGV[1]  -- token of the caller
local ttl   = ARGV[2]  -- ms

local owner = redis.call("GET", lock)
if owner and owner ~= token then
  -- Longer than anybody asks for: the server's clock went back. An owner who lives asks again.
  if redis.call("PTTL", lock) > tonumber(ttl) then
    redis.call("PEXPIRE", lock, ttl)
  end
  return {"TAKEN"}
end
redis.call("PEXPIRE", lock, ttl)
if not owner then
  redis.call("SET", lock, token, "PX", ttl)
end
return {"MINE"}
