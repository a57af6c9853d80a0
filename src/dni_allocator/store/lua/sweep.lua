-- Housekeeping of one pool: end leases whose deadline is past, forget holders whose attribution
-- window is over, end quarantines, and say when there is something to do again.
-- Replies: {DONE, ended, forgotten, number…}: the numbers have drained and wait for the directory
--          to hear of it (`drained_forget`); {MORE, …} the same: run again now; {GONE}.
-- Idempotent. O(limit + shelves).
local conf      = KEYS[1]              -- HASH of the pool: purged:<shelf> = holders forgotten up to, ms
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
local window    = tonumber(ARGV[3])    -- attribution window, ms
local limit     = tonumber(ARGV[4])    -- most leases to end, and holders to forget, in one run
local policy    = ARGV[5]              -- further rules of the pool (lib/policy), or empty

--@include lib/clock
--@include lib/ending
--@include lib/quarantine

if redis.call("EXISTS", conf) == 0 then
  redis.call("ZREM", due, pool_id)
  return {"GONE"}
end
local now = clock(given_now)
-- Also when the server's memory is full (lib/full): a write that changes nothing comes first.
redis.call("HDEL", conf, "")
-- Numbers that were never leased lie at scores below this, in random order.
local NEVER_LEASED = "1000000"
local before = redis.call("ZCARD", leased)
local more = reclaim(now, limit, window)
local ended = before - redis.call("ZCARD", leased)
local acquitted = redis.call("ZRANGEBYSCORE", resting, "-inf", now, "LIMIT", 0, limit)
for _, number in ipairs(acquitted) do
  end_quarantine(number)
end
more = more or #acquitted == limit

-- A holder is forgotten once its end, the score on the shelf, is a window ago. A mark per shelf
-- says how far that has been done, so that no number is looked at twice.
local horizon = now - window
local forgotten, next_purge = 0, nil
local function forget(shelf)
  local key, mark = free .. shelf, "purged:" .. shelf
  local purged = redis.call("HGET", conf, mark) or NEVER_LEASED
  if tonumber(purged) > horizon then
    purged = NEVER_LEASED -- the clock went back: numbers come that end before the mark
  end
  local old = redis.call("ZRANGEBYSCORE", key, "(" .. purged, horizon, "WITHSCORES", "LIMIT", 0, limit)
  local last = old[#old]
  if #old == 2 * limit then
    -- The mark may only pass a score when all numbers that ended in that ms are done.
    more = true
    for _, number in ipairs(redis.call("ZRANGEBYSCORE", key, last, last)) do
      forgotten = forgotten + redis.call("HDEL", holders, number)
    end
  end
  for i = 1, #old, 2 do
    forgotten = forgotten + redis.call("HDEL", holders, old[i])
  end
  if last then
    redis.call("HSET", conf, mark, last)
  end
  local from = last or purged
  local following = redis.call("ZRANGEBYSCORE", key, "(" .. from, "+inf", "WITHSCORES", "LIMIT", 0, 1)
  if following[1] then
    next_purge = math.min(next_purge or math.huge, tonumber(following[2]) + window)
  end
end
if not more then
  -- Only now: a mark must not pass the end of a lease that still waits to be ended.
  for _, shelf in ipairs(redis.call("HKEYS", shelves)) do
    forget(shelf)
  end
  forget(QUARANTINE)
end
local left = redis.call("SRANDMEMBER", drained, limit)
local reply = {more and "MORE" or "DONE", tostring(ended), tostring(forgotten)}
for _, number in ipairs(left) do
  reply[#reply + 1] = number
end
if more then
  return reply
end
local head = redis.call("ZRANGE", leased, 0, 0, "WITHSCORES")
local wake = next_purge
if head[1] then
  wake = math.min(wake or math.huge, tonumber(head[2]))
end
local rested = redis.call("ZRANGE", resting, 0, 0, "WITHSCORES")
if rested[1] and rested[2] ~= "inf" then
  wake = math.min(wake or math.huge, tonumber(rested[2]))
end
if #left > 0 or redis.call("HEXISTS", conf, "unshelved") == 1 then
  wake = now
end
if wake then
  redis.call("ZADD", due, wake, pool_id)
else
  redis.call("ZREM", due, pool_id)
end
return reply
