-- Keep the rules by which a pool scales, or forget them.
-- Replies: {OK}; {GONE}: no such pool. Idempotent. O(1).
local conf    = KEYS[1]  -- HASH of the pool
local upkeep  = KEYS[2]  -- HASH of the pool: rules, spending, latest decisions
local scaled  = KEYS[3]  -- SET of the shard's pools that scale
local pool_id = ARGV[1]  -- id of the pool
local rules   = ARGV[2]  -- JSON; empty: forget them

if redis.call("HEXISTS", conf, "rev") == 0 then
  redis.call("SREM", scaled, pool_id)
  return {"GONE"}
end
if rules == "" then
  redis.call("HDEL", upkeep, "rules")
  redis.call("SREM", scaled, pool_id)
else
  redis.call("HSET", upkeep, "rules", rules)
  redis.call("SADD", scaled, pool_id)
end
return {"OK"}
