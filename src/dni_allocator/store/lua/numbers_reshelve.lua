-- Put numbers of the inventory on other shelves, after an edit changed how the pool matches.
-- Replies: {OK, numbers moved}; {STALE}: the pool was edited meanwhile; {GONE}: no such pool.
-- Idempotent. O(rows). Numbers that left meanwhile are passed over.
local conf    = KEYS[1]    -- HASH of the pool
local numbers = KEYS[2]    -- HASH number -> packed number
local shelves = KEYS[3]    -- HASH shelf -> numbers attached
local places  = KEYS[4]    -- HASH shelf -> its place, JSON text
local orders  = KEYS[5]    -- HASH destination -> shelves, best first
local free    = KEYS[6]    -- prefix of ZSET number -> released at, ms, by shelf
local rev     = ARGV[1]    -- revision of the pool the caller decided by
local done    = ARGV[2]    -- "1": every number has been looked at
-- rows       = ARGV[3...] -- number, shelf, place or empty

--@include lib/revision
--@include lib/shelving

local moved = 0
for at = 3, #ARGV, 3 do
  local number, shelf = ARGV[at], ARGV[at + 1]
  local stored = redis.call("HGET", numbers, number)
  if stored and unpack_number(stored) ~= shelf then
    know_shelf(shelf, ARGV[at + 2])
    move_to_shelf(number, stored, shelf)
    local _, state, national, international, facts = unpack_number(stored)
    local fields = {shelf, state, national, international, facts}
    redis.call("HSET", numbers, number, table.concat(fields, "\t"))
    moved = moved + 1
  end
end
if done == "1" then
  redis.call("HDEL", conf, "unshelved")
end
return {"OK", tostring(moved)}
