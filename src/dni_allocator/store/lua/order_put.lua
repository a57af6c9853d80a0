-- Remember in which order the shelves are tried for a destination.
-- Replies: {OK}; {STALE}: settings or shelves changed since the order was made; {GONE}.
-- Idempotent. O(rows).
local conf     = KEYS[1]    -- HASH of the pool
local orders   = KEYS[2]    -- HASH destination -> shelves, best first
local rev      = ARGV[1]    -- revision of the pool the order was made for
local shelving = ARGV[2]    -- count of changes of the shelves it was made from
-- rows        = ARGV[3...] -- destination, order (lib/picking)

--@include lib/revision

if (redis.call("HGET", conf, "shelving") or "0") ~= shelving then
  return {"STALE"}
end
for at = 3, #ARGV, 2 do
  redis.call("HSET", orders, ARGV[at], ARGV[at + 1])
end
return {"OK"}
