-- Make a pool. Replies: {CREATED} or {EXISTS}. Idempotent by the id. O(1).
local conf    = KEYS[1]    -- HASH of the pool
local pools   = KEYS[2]    -- SET of the shard's pools
local pool_id = ARGV[1]    -- id of the pool
local doc     = ARGV[2]    -- its settings, JSON text

if redis.call("HSETNX", conf, "doc", doc) == 0 then
  return {"EXISTS"}
end
redis.call("HSET", conf, "rev", "1")
redis.call("SADD", pools, pool_id)
return {"CREATED"}
