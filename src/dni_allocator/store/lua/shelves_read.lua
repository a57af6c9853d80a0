-- The shelves of a pool with their places, and what an order made from them is good for.
-- Replies: {OK, revision, shelving, then per shelf: name, place}; {GONE}: no such pool.
-- Reads only. O(shelves).
local conf   = KEYS[1]    -- HASH of the pool
local places = KEYS[2]    -- HASH shelf -> its place, JSON text

local rev = redis.call("HGET", conf, "rev")
if not rev then
  return {"GONE"}
end
local reply = {"OK", rev, redis.call("HGET", conf, "shelving") or "0"}
local found = redis.call("HGETALL", places)
for at = 1, #found do
  reply[#reply + 1] = found[at]
end
return reply
