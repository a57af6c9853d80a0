-- Set the one admin key. Field `admin` names the digest that is it.
-- Replies: {SET}; {KEPT}: there was one and it was not to be replaced. Idempotent. O(1).
local keys    = KEYS[1]    -- HASH SHA-256 of a key -> its record, JSON
local digest  = ARGV[1]    -- SHA-256 of the new key, hex
local record  = ARGV[2]    -- its record
local replace = ARGV[3]    -- "1": also when there is one

local present = redis.call("HGET", keys, "admin")
if present and present ~= digest then
  if replace ~= "1" then
    return {"KEPT"}
  end
  redis.call("HDEL", keys, present)
end
redis.call("HSET", keys, "admin", digest, digest, record)
return {"SET"}
