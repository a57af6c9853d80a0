-- Replace a pool's settings if nobody else did meanwhile.
-- Replies: {OK, new revision}; {CONFLICT, present revision}; {GONE}.
-- A second run of the same edit replies OK: the document is compared. O(1).
local conf      = KEYS[1]    -- HASH of the pool
local orders    = KEYS[2]    -- HASH destination -> shelves, best first: made from the settings
local due       = KEYS[3]    -- ZSET pool -> lower bound of its next deadline, ms
local rev       = ARGV[1]    -- revision the edit was made from
local doc       = ARGV[2]    -- the new settings, JSON text
local pool_id   = ARGV[3]    -- id of the pool
local unshelves = ARGV[4]    -- "1": its numbers belong on other shelves from now on

local current = redis.call("HGET", conf, "rev")
if not current then
  return {"GONE"}
end
if current ~= rev then
  if redis.call("HGET", conf, "doc") == doc then
    return {"OK", current}
  end
  return {"CONFLICT", current}
end
local new_rev = tostring(tonumber(current) + 1)
-- First: so a pool can be paused also while the server's memory is full (lib/full).
redis.call("DEL", orders)
redis.call("HSET", conf, "rev", new_rev, "doc", doc)
if unshelves == "1" then
  -- Until all numbers are where they belong, whoever sweeps the pool goes on putting them there.
  redis.call("HSET", conf, "unshelved", "1")
  redis.call("ZADD", due, "LT", 0, pool_id)
end
return {"OK", new_rev}
