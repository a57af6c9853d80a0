-- Write a list whole, over what was there.
-- Replies: {OK}. Idempotent. O(rows).
local list = KEYS[1]     -- LIST
-- rows    = ARGV[1...]  -- values, in their order

redis.call("DEL", list)
if #ARGV > 0 then
  redis.call("RPUSH", list, unpack(ARGV))
end
return {"OK"}
