-- The directory has heard of these drained numbers.
-- Replies: {OK}. Idempotent. O(rows).
local drained = KEYS[1]    -- SET of numbers that left when their lease ended
-- rows       = ARGV[1...] -- numbers

for i = 1, #ARGV do
  redis.call("SREM", drained, ARGV[i])
end
return {"OK"}
