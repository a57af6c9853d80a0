-- Record a call, once: its record, its place in the lists, what is remembered of the caller, the hold
-- of its number, its event, and perhaps that the number leaked.
-- Replies: {STARTED}; {KNOWN, document}: it was recorded before, nothing was written; {STALE}: the
--          caller became known, or was forgotten, since it was read: read again; {GONE}: no such pool.
-- Idempotent by the id of the call. O(log calls), and up to 100 calls a run that leave the lists.
local conf       = KEYS[1]              -- HASH of the pool
local leased     = KEYS[2]              -- ZSET number -> deadline, ms
local holders    = KEYS[3]              -- HASH number -> packed holder
local numbers    = KEYS[4]              -- HASH number -> packed number
local resting    = KEYS[5]              -- ZSET number set aside -> until, ms
local notes      = KEYS[6]              -- HASH number set aside -> since and why, JSON text
local due        = KEYS[7]              -- ZSET pool -> lower bound of its next deadline, ms
local events     = KEYS[8]              -- STREAM, the outbox of the shard
local call       = KEYS[9]              -- STRING, the call as JSON text
local of_pool    = KEYS[10]             -- ZSET call -> started at, ms: of this pool
local of_shard   = KEYS[11]             -- ZSET call -> started at, ms: of all pools of the shard
local caller     = KEYS[12]             -- HASH number they dialed -> packed memory
local suspects   = KEYS[13]             -- SET of callers of this number or lease
local alarm      = KEYS[14]             -- STRING: the number was reported as leaked
local free       = KEYS[15]             -- prefix of ZSET number -> released at, ms, by shelf
local given_now  = ARGV[1]              -- ms, or empty: Redis TIME
local pool_id    = ARGV[2]              -- id of the pool
local call_id    = ARGV[3]              -- id of the call
local document   = ARGV[4]              -- the call as JSON text
local started    = tonumber(ARGV[5])    -- when it rang, ms
local retention  = tonumber(ARGV[6])    -- how long it is kept from then on, ms
local number     = ARGV[7]              -- E.164
local visitor_id = ARGV[8]              -- whom it is attributed to, or empty
local fence      = ARGV[9]              -- of the lease it is attributed to, or empty
local hold_until = tonumber(ARGV[10])   -- ms; 0: it is not held
local note       = ARGV[11]             -- since and why it is held, JSON text
local known      = ARGV[12]             -- the caller called before: `1` or `0`; empty: not remembered
local memory     = ARGV[13]             -- packed memory of this call (lib/remembering)
local overwrites = ARGV[14]             -- `1`: also what is remembered of an earlier call
local keep       = tonumber(ARGV[15])   -- how long a caller is remembered, ms
local who        = ARGV[16]             -- the caller, for counting different ones
local enough     = tonumber(ARGV[17])   -- different callers that make a leak; 0: not counted
local leak       = ARGV[18]             -- why it would be one
-- told          = ARGV[19...]          -- events: how many values, then these

--@include lib/clock
--@include lib/telling
--@include lib/holding
--@include lib/remembering
--@include lib/leaking

local recorded = redis.call("GET", call)
if recorded then
  return {"KNOWN", recorded}
end
if redis.call("HEXISTS", conf, "rev") == 0 then
  return {"GONE"}
end
if known ~= "" and tostring(redis.call("EXISTS", caller)) ~= known then
  return {"STALE"}
end
local now = clock(given_now)
local left = math.max(1, started + retention - now)
redis.call("SET", call, document, "PX", left)
for _, list in ipairs({of_pool, of_shard}) do
  local over = redis.call("ZRANGEBYSCORE", list, "-inf", now - retention, "LIMIT", 0, 100)
  if #over > 0 then
    redis.call("ZREM", list, unpack(over))
  end
  redis.call("ZADD", list, started, call_id)
  if redis.call("PTTL", list) < left then
    redis.call("PEXPIRE", list, left)
  end
end
if known ~= "" then
  remember(number, memory, overwrites == "1", keep)
end
if hold_until > now then
  hold_number(number, fence, hold_until, note)
end
tell(ARGV, 19)
if enough > 0 then
  suspect(who, enough, {
    number = number, visitor = visitor_id, fence = fence, now = now, reason = leak, call = call_id,
  })
end
return {"STARTED"}
