-- Put numbers into a pool's inventory, each on its shelf, free at once.
-- Replies: {OK, status per row…}: `attached`, or `already` (facts and shelf updated, draining
--          called off; a quarantine or a hold goes on); {STALE}: the pool was edited since the caller chose the
--          shelves, and nothing was written; {GONE}: no such pool.
-- Idempotent. O(rows).
local conf    = KEYS[1]    -- HASH of the pool
local numbers = KEYS[2]    -- HASH number -> packed number
local shelves = KEYS[3]    -- HASH shelf -> numbers attached
local places  = KEYS[4]    -- HASH shelf -> its place, JSON text
local orders  = KEYS[5]    -- HASH destination -> shelves, best first
local drained = KEYS[6]    -- SET of numbers that left when their lease ended
local free    = KEYS[7]    -- prefix of ZSET number -> released at, ms, by shelf
local rev     = ARGV[1]    -- revision of the pool the shelves were chosen by
-- rows       = ARGV[2...] -- number, shelf, place or empty, packed national/international/facts, released at

--@include lib/revision
--@include lib/shelving

local reply = {"OK"}
for at = 2, #ARGV, 5 do
  local number, shelf, facts = ARGV[at], ARGV[at + 1], ARGV[at + 3]
  know_shelf(shelf, ARGV[at + 2])
  local stored = redis.call("HGET", numbers, number)
  if stored then
    local _, state = unpack_number(stored)
    move_to_shelf(number, stored, shelf)
    local kept = is_set_aside(state) and state or ""
    redis.call("HSET", numbers, number, shelf .. "\t" .. kept .. "\t" .. facts)
    reply[#reply + 1] = "already"
  else
    redis.call("HSET", numbers, number, shelf .. "\t\t" .. facts)
    redis.call("HINCRBY", shelves, shelf, 1)
    redis.call("ZADD", free .. shelf, ARGV[at + 4], number)
    -- It is back before the sweeper told the directory that it had left: nothing to tell.
    redis.call("SREM", drained, number)
    reply[#reply + 1] = "attached"
  end
end
return reply
