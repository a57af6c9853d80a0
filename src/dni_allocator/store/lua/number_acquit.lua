-- Call a quarantine off: the number is back on its shelf at once, in the place it had.
-- Replies: {ACQUITTED}; {FREE}: it was in no quarantine; {ABSENT}: not in this pool; {GONE}.
-- Idempotent. O(log numbers).
local conf      = KEYS[1]    -- HASH of the pool
local leased    = KEYS[2]    -- ZSET number -> deadline, ms
local numbers   = KEYS[3]    -- HASH number -> packed number
local resting   = KEYS[4]    -- ZSET number in quarantine -> until, ms
local notes     = KEYS[5]    -- HASH number in quarantine -> since and why, JSON text
local due       = KEYS[6]    -- ZSET pool -> lower bound of its next deadline, ms
local signs     = KEYS[7]    -- STRING: signs of spam within the hour
local free      = KEYS[8]    -- prefix of ZSET number -> released at, ms, by shelf
local pool_id   = ARGV[1]    -- id of the pool
local number    = ARGV[2]    -- E.164

--@include lib/quarantine

if redis.call("EXISTS", conf) == 0 then
  return {"GONE"}
end
if redis.call("HEXISTS", numbers, number) == 0 then
  return {"ABSENT"}
end
redis.call("DEL", signs) -- who acquits it has judged the signs so far
return {end_quarantine(number) and "ACQUITTED" or "FREE"}
