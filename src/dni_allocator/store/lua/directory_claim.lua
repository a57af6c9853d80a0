-- Claim a number for a pool, in the directory of all numbers. The value is `<role><pool>`, role
-- `=` inventory, `+` overflow number, `~` former pool (it answers attribution, anyone may take it).
-- Replies: {OK}: it is the pool's; {TAKEN, value}. Idempotent. O(1).
local entry     = KEYS[1]   -- STRING, the directory entry of one number
local claim     = ARGV[1]   -- the value to set
local abandoned = ARGV[2]   -- a value that may be replaced: its pool is gone; else empty

local current = redis.call("GET", entry)
if current and current ~= claim and current ~= abandoned and string.sub(current, 1, 1) ~= "~" then
  return {"TAKEN", current}
end
redis.call("SET", entry, claim)
return {"OK"}
