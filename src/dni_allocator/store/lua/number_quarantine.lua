-- Give a number to nobody for a while. A leased one keeps its visitor until the lease ends.
-- Replies: {QUARANTINED}; {AT_END}: once its lease has ended; {DRAINING}: it is leaving anyway;
--          {PAST}: that end is over already; {ABSENT}: not in this pool; {GONE}: no such pool.
-- Idempotent; a second run replaces reason and end. O(log numbers).
local conf      = KEYS[1]    -- HASH of the pool
local leased    = KEYS[2]    -- ZSET number -> deadline, ms
local numbers   = KEYS[3]    -- HASH number -> packed number
local resting   = KEYS[4]    -- ZSET number in quarantine -> until, ms
local notes     = KEYS[5]    -- HASH number in quarantine -> since and why, JSON text
local due       = KEYS[6]    -- ZSET pool -> lower bound of its next deadline, ms
local free      = KEYS[7]    -- prefix of ZSET number -> released at, ms, by shelf
local pool_id   = ARGV[1]    -- id of the pool
local number    = ARGV[2]    -- E.164
local ends_at   = ARGV[3]    -- ms, or +inf: until it is called off
local reason    = ARGV[4]    -- why, as a JSON string
local given_now = ARGV[5]    -- ms, or empty: Redis TIME

--@include lib/clock
--@include lib/quarantine

if redis.call("EXISTS", conf) == 0 then
  return {"GONE"}
end
local stored = redis.call("HGET", numbers, number)
if not stored then
  return {"ABSENT"}
end
local now = clock(given_now)
if ends_at ~= "+inf" and tonumber(ends_at) <= now then
  return {"PAST"}
end
local _, state = unpack_number(stored)
if state == "draining" then
  return {"DRAINING"}
end
set_aside(number, stored, QUARANTINE, ends_at, quarantine_note(reason, now))
return {redis.call("ZSCORE", leased, number) and "AT_END" or "QUARANTINED"}
