-- Take a number out of a pool. A leased one keeps its visitor and leaves when the lease ends,
-- unless forced. What is known of its holders answers on until the window is over.
-- Replies: {DETACHED}; {DRAINING}: leaves later; {ABSENT}: not in this pool; {GONE}: no such pool.
-- Idempotent. O(log numbers).
local conf      = KEYS[1]              -- HASH of the pool
local leased    = KEYS[2]              -- ZSET number -> deadline, ms
local holders   = KEYS[3]              -- HASH number -> packed holder
local numbers   = KEYS[4]              -- HASH number -> packed number
local shelves   = KEYS[5]              -- HASH shelf -> numbers attached
local stats     = KEYS[6]              -- HASH of counters
local events    = KEYS[7]              -- STREAM, the outbox of the shard
local due       = KEYS[8]              -- ZSET pool -> lower bound of its next deadline, ms
local drained   = KEYS[9]              -- SET of numbers that left when their lease ended
local resting   = KEYS[10]             -- ZSET number in quarantine -> until, ms
local notes     = KEYS[11]             -- HASH number in quarantine -> since and why, JSON text
local free      = KEYS[12]             -- prefix of ZSET number -> released at, ms, by shelf
local past      = KEYS[13]             -- prefix of LIST of earlier holders, by number
local visitors  = KEYS[14]             -- prefix of the visitors' hashes
local places    = KEYS[15]             -- HASH shelf -> its place, JSON text
local orders    = KEYS[16]             -- HASH destination -> shelves, best first
local given_now = ARGV[1]              -- ms, or empty: Redis TIME
local pool_id   = ARGV[2]              -- id of the pool
local number    = ARGV[3]              -- E.164
local window    = tonumber(ARGV[4])    -- attribution window, ms
local force     = ARGV[5]              -- "1": end a live lease now
local policy    = ARGV[6]              -- further rules of the pool (lib/policy), or empty

--@include lib/clock
--@include lib/ending
--@include lib/resting

if redis.call("EXISTS", conf) == 0 then
  return {"GONE"}
end
local stored = redis.call("HGET", numbers, number)
if not stored then
  return {"ABSENT"}
end
local now = clock(given_now)
local shelf, _, national, international, facts = unpack_number(stored)
local lies_on = shelf_of_free(stored)
redis.call("ZREM", resting, number)
redis.call("HDEL", notes, number)
local deadline = redis.call("ZSCORE", leased, number)
if deadline then
  local fields = {shelf, "draining", national, international, facts}
  redis.call("HSET", numbers, number, table.concat(fields, "\t"))
  if tonumber(deadline) > now then
    if force ~= "1" then
      return {"DRAINING"}
    end
    end_lease(number, tostring(now), "detached", window)
  else
    end_lease(number, deadline, nil, window)
  end
  return {"DETACHED"}
end
local released_at = redis.call("ZSCORE", free .. lies_on, number)
redis.call("ZREM", free .. lies_on, number)
drop_number(number, shelf, released_at, window)
return {"DETACHED"}
