-- One more sign that a number draws spam calls; enough of them within the hour quarantine it.
-- Replies: {COUNTED, signs so far}; {QUARANTINED, signs}; {AT_END, signs}; {ABSENT}: not in this pool; {GONE}.
-- Safe to repeat, not idempotent: a second run counts once more, which at worst rests a number
-- early. O(log numbers).
local conf      = KEYS[1]              -- HASH of the pool
local leased    = KEYS[2]              -- ZSET number -> deadline, ms
local numbers   = KEYS[3]              -- HASH number -> packed number
local resting   = KEYS[4]              -- ZSET number in quarantine -> until, ms
local notes     = KEYS[5]              -- HASH number in quarantine -> since and why, JSON text
local due       = KEYS[6]              -- ZSET pool -> lower bound of its next deadline, ms
local signs     = KEYS[7]              -- STRING: signs within the hour
local free      = KEYS[8]              -- prefix of ZSET number -> released at, ms, by shelf
local pool_id   = ARGV[1]              -- id of the pool
local number    = ARGV[2]              -- E.164
local length    = tonumber(ARGV[3])    -- ms: length of a quarantine that begins now
local enough    = tonumber(ARGV[4])    -- signs that quarantine it
local given_now = ARGV[5]              -- ms, or empty: Redis TIME

--@include lib/clock
--@include lib/quarantine

local HOUR = 3600000 -- ms

if redis.call("EXISTS", conf) == 0 then
  return {"GONE"}
end
local stored = redis.call("HGET", numbers, number)
if not stored then
  return {"ABSENT"}
end
local count = redis.call("INCR", signs)
if count == 1 then
  redis.call("PEXPIRE", signs, HOUR)
end
local _, state = unpack_number(stored)
if count < enough or (state ~= "" and state ~= HELD) then
  return {"COUNTED", tostring(count)}
end
local now = clock(given_now)
set_aside(number, stored, QUARANTINE, now + length, quarantine_note('"spam"', now))
return {redis.call("ZSCORE", leased, number) and "AT_END" or "QUARANTINED", tostring(count)}
