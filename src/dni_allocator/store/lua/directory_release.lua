-- Give a number up in the directory, if it still is the pool's.
-- Replies: {OK} or {KEPT}: somebody else has it by now. Idempotent. O(1).
local entry  = KEYS[1]    -- STRING, the directory entry of one number
local claim  = ARGV[1]    -- the value it must have
local former = ARGV[2]    -- value to leave for attribution, or empty: forget the number
local window = ARGV[3]    -- how long to leave it, ms

if redis.call("GET", entry) ~= claim then
  return {"KEPT"}
end
redis.call("DEL", entry)
if former ~= "" then
  redis.call("SET", entry, former, "PX", window)
end
return {"OK"}
