-- Write a record of a ledger (an order of numbers, a release, a decision to scale), if it is still the
-- one its writer has read; with it the spending of the pool and the event, if there is one to tell.
-- Replies: {OK}; {EXISTS, record}: a new one that is there already; {CONFLICT}: somebody else was
--          quicker, or it is gone. Idempotent: a record that is the new one already changes nothing.
--          O(log records).
local records   = KEYS[1]               -- HASH id -> record, JSON
local log       = KEYS[2]               -- ZSET id -> created at, ms
local open      = KEYS[3]               -- ZSET id -> when to look at it next, ms
local events    = KEYS[4]               -- STREAM, the outbox of the shard
local conf      = KEYS[5]               -- HASH of the pool
local upkeep    = KEYS[6]               -- HASH of the pool: spending, latest decisions
local given_now = ARGV[1]               -- ms, or empty: Redis TIME
local id        = ARGV[2]               -- id of the record
local seen      = ARGV[3]               -- record the caller has read; empty: a new one
local record    = ARGV[4]               -- record to write
local created   = ARGV[5]               -- ms
local look_at   = ARGV[6]               -- when to look at it next, ms; empty: it is closed
local month     = ARGV[7]               -- of what is spent, such as 2026-11
local held      = ARGV[8]               -- change of the rent a month, millionths; 0: none
local released  = ARGV[9]               -- rent of what was released this month, millionths
local upfront   = ARGV[10]              -- paid once, millionths
local latest    = ARGV[11]              -- field of upkeep that names this record, or empty
local keep      = tonumber(ARGV[12])    -- most records to keep
-- event        = ARGV[13...]           -- fields and values of the event; none: no event

--@include lib/clock

local current = redis.call("HGET", records, id)
if current == record then
  return {"OK"}
end
if current and seen == "" then
  return {"EXISTS", current}
end
if (current or "") ~= seen then
  return {"CONFLICT"}
end
redis.call("HSET", records, id, record)
redis.call("ZADD", log, created, id)
if look_at == "" then
  redis.call("ZREM", open, id)
else
  redis.call("ZADD", open, look_at, id)
end
-- A pool that was deleted meanwhile has no books any more.
if redis.call("EXISTS", conf) == 1 then
  if held ~= "0" then
    redis.call("HINCRBY", upkeep, "held", held)
  end
  if released ~= "0" then
    redis.call("HINCRBY", upkeep, "released:" .. month, released)
  end
  if upfront ~= "0" then
    redis.call("HINCRBY", upkeep, "upfront:" .. month, upfront)
  end
  if latest ~= "" then
    redis.call("HSET", upkeep, latest, id)
  end
end
if #ARGV > 12 then
  local fields = {"w", string.format("%.0f", clock(given_now))}
  for at = 13, #ARGV do
    fields[#fields + 1] = ARGV[at]
  end
  redis.call("XADD", events, "*", unpack(fields))
end
-- The oldest closed ones go; what is open stays, however old.
local over = math.min(redis.call("ZCARD", log) - keep, 10)
if over > 0 then
  for _, old in ipairs(redis.call("ZRANGE", log, 0, over + 20)) do
    if over > 0 and not redis.call("ZSCORE", open, old) then
      redis.call("HDEL", records, old)
      redis.call("ZREM", log, old)
      over = over - 1
    end
  end
end
return {"OK"}
