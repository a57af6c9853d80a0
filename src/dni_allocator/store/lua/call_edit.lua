-- Replace a call, if it is still the one the caller has seen, with the events of that; when it is
-- over, its number is held again from then on.
-- Replies: {OK}; {CONFLICT, document}: somebody else was quicker; {GONE}: no such call (any more).
-- Idempotent: a call that is already the new one is OK, and tells nothing twice. O(1).
local conf       = KEYS[1]              -- HASH of the pool
local leased     = KEYS[2]              -- ZSET number -> deadline, ms
local holders    = KEYS[3]              -- HASH number -> packed holder
local numbers    = KEYS[4]              -- HASH number -> packed number
local resting    = KEYS[5]              -- ZSET number set aside -> until, ms
local notes      = KEYS[6]              -- HASH number set aside -> since and why, JSON text
local due        = KEYS[7]              -- ZSET pool -> lower bound of its next deadline, ms
local events     = KEYS[8]              -- STREAM, the outbox of the shard
local call       = KEYS[9]              -- STRING, the call as JSON text
local free       = KEYS[10]             -- prefix of ZSET number -> released at, ms, by shelf
local pool_id    = ARGV[1]              -- id of the pool
local seen       = ARGV[2]              -- document the caller has read
local document   = ARGV[3]              -- document to write
local number     = ARGV[4]              -- E.164
local fence      = ARGV[5]              -- of the lease the call is attributed to, or empty
local hold_until = tonumber(ARGV[6])    -- ms; 0: it is not held
local note       = ARGV[7]              -- since and why it is held, JSON text
-- told          = ARGV[8...]           -- events: how many values, then these

--@include lib/telling
--@include lib/holding

local current = redis.call("GET", call)
if not current then
  return {"GONE"}
end
if current == document then
  return {"OK"}
end
if current ~= seen then
  return {"CONFLICT", current}
end
-- Also when the server's memory is full (lib/full): a write that changes nothing comes first.
redis.call("HDEL", conf, "")
redis.call("SET", call, document, "KEEPTTL")
if hold_until > 0 then
  hold_number(number, fence, hold_until, note)
end
tell(ARGV, 8)
return {"OK"}
