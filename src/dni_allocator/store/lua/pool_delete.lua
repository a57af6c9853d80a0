-- Delete a pool, a bounded part at a time. The first run makes it unknown to every other script,
-- so nothing is leased while the rest goes.
-- Replies: {IN_USE, live leases}; {MORE, number…}: these were dropped; run again with those that the
--          directory has heard of; {DONE}: the pool is gone. {GONE}: it was before.
-- Idempotent: a number that was dropped stays in `drained` until the caller says that the directory
-- knows, so that a lost reply loses none. O(limit).
local conf      = KEYS[1]              -- HASH of the pool
local leased    = KEYS[2]              -- ZSET number -> deadline, ms
local holders   = KEYS[3]              -- HASH number -> packed holder
local numbers   = KEYS[4]              -- HASH number -> packed number
local shelves   = KEYS[5]              -- HASH shelf -> numbers attached
local stats     = KEYS[6]              -- HASH of counters
local events    = KEYS[7]              -- STREAM, the outbox of the shard
local due       = KEYS[8]              -- ZSET pool -> lower bound of its next deadline, ms
local drained   = KEYS[9]              -- SET of numbers that left when their lease ended
local pools     = KEYS[10]             -- SET of the shard's pools
local resting   = KEYS[11]             -- ZSET number in quarantine -> until, ms
local notes     = KEYS[12]             -- HASH number in quarantine -> since and why, JSON text
local places    = KEYS[13]             -- HASH shelf -> its place, JSON text
local orders    = KEYS[14]             -- HASH destination -> shelves, best first
local suggested = KEYS[15]             -- ZSET destination unknown to the pool -> last seen, ms
local free      = KEYS[16]             -- prefix of ZSET number -> released at, ms, by shelf
local past      = KEYS[17]             -- prefix of LIST of earlier holders, by number
local visitors  = KEYS[18]             -- prefix of the visitors' hashes
local upkeep    = KEYS[19]             -- HASH: what its numbers cost, its rules of scaling
local given_now = ARGV[1]              -- ms, or empty: Redis TIME
local pool_id   = ARGV[2]              -- id of the pool
local window    = tonumber(ARGV[3])    -- attribution window, ms
local force     = ARGV[4]              -- "1": also with live leases
local limit     = tonumber(ARGV[5])    -- most numbers to drop in one run
local policy    = ARGV[6]              -- further rules of the pool (lib/policy), or empty
-- told         = ARGV[7...]           -- dropped numbers of which the directory has heard

--@include lib/clock
--@include lib/ending

if redis.call("EXISTS", conf) == 0 then
  return {"GONE"}
end
local now = clock(given_now)
if force ~= "1" and redis.call("HEXISTS", conf, "rev") == 1 then
  local live = redis.call("ZCOUNT", leased, "(" .. now, "+inf")
  if live > 0 then
    return {"IN_USE", tostring(live)}
  end
end
redis.call("HDEL", conf, "rev")

for at = 7, #ARGV do
  redis.call("SREM", drained, ARGV[at])
end
local dropped = 0
local held = redis.call("ZRANGE", leased, 0, limit - 1, "WITHSCORES")
for i = 1, #held, 2 do
  local number = held[i]
  end_lease(number, tostring(math.min(now, tonumber(held[i + 1]))), "pool_deleted", window)
end
local full = redis.call("HKEYS", shelves)
full[#full + 1] = QUARANTINE
for _, shelf in ipairs(full) do
  local freed = redis.call("ZPOPMIN", free .. shelf, limit - dropped)
  for i = 1, #freed, 2 do
    redis.call("HDEL", holders, freed[i])
    redis.call("HDEL", numbers, freed[i])
    redis.call("DEL", past .. freed[i])
    redis.call("SADD", drained, freed[i])
  end
  dropped = dropped + #freed / 2
  if dropped >= limit then
    break
  end
end
local reply = redis.call("SRANDMEMBER", drained, limit)
if dropped >= limit or #reply > 0 or redis.call("ZCARD", leased) > 0 then
  table.insert(reply, 1, "MORE")
  return reply
end
redis.call("DEL", conf, holders, numbers, shelves, stats)
redis.call("DEL", resting, notes, places, orders, suggested)
redis.call("DEL", upkeep)
redis.call("SREM", pools, pool_id)
redis.call("ZREM", due, pool_id)
return {"DONE"}
