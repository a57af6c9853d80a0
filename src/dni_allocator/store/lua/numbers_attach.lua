-- Put numbers into a pool's inventory, each on its shelf, free at once.
-- Replies: {OK, status per row…}: `attached`, or `already` (facts updated, draining called off);
--          {GONE}: no such pool.
-- Idempotent. O(rows). A number already there stays on the shelf it is on.
local conf    = KEYS[1]    -- HASH of the pool
local numbers = KEYS[2]    -- HASH number -> packed number
local shelves = KEYS[3]    -- HASH shelf -> numbers attached
local drained = KEYS[4]    -- SET of numbers that left when their lease ended
local free    = KEYS[5]    -- prefix of ZSET number -> released at, ms, by shelf
-- rows       = ARGV[1...] -- number, shelf, packed national/international/facts, released at

--@include lib/records

if redis.call("HEXISTS", conf, "rev") == 0 then
  return {"GONE"}
end
local reply = {"OK"}
for at = 1, #ARGV, 4 do
  local number, shelf, facts, released_at = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local stored = redis.call("HGET", numbers, number)
  if stored then
    local its_shelf = unpack_number(stored)
    redis.call("HSET", numbers, number, its_shelf .. "\t\t" .. facts)
    reply[#reply + 1] = "already"
  else
    redis.call("HSET", numbers, number, shelf .. "\t\t" .. facts)
    redis.call("HINCRBY", shelves, shelf, 1)
    redis.call("ZADD", free .. shelf, released_at, number)
    -- It is back before the sweeper told the directory that it had left: nothing to tell.
    redis.call("SREM", drained, number)
    reply[#reply + 1] = "attached"
  end
end
return reply
