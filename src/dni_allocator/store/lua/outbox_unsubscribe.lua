-- Forget an endpoint in this shard: position, lock, parked events, dead letters and log.
-- Replies: {OK}. Idempotent. O(its parked events).
local cursors      = KEYS[1]  -- HASH endpoint -> position
local lock         = KEYS[2]  -- STRING, who serves this endpoint here
local retries      = KEYS[3]  -- ZSET entry -> due at, ms
local dead_letters = KEYS[4]  -- ZSET entry -> dead since, ms
local parked       = KEYS[5]  -- HASH entry -> copy of the event
local health       = KEYS[6]  -- HASH, how the endpoint fared here
local log          = KEYS[7]  -- STREAM of attempts
local failures     = KEYS[8]  -- STREAM of failed attempts
local endpoint     = ARGV[1]  -- id of the endpoint

redis.call("HDEL", cursors, endpoint)
redis.call("DEL", lock, retries, dead_letters, parked, health, log, failures)
return {"OK"}
