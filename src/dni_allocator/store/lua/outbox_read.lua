-- What an endpoint should be sent next: retries that are due, then entries it has not read.
-- Replies: {OK, ms until the next retry or empty, number of retries, then per retry: entry, copy
--          of the event (JSON); then per new entry: entry, number of its strings, field, value, …}
--          {LOST}: another forwarder serves this endpoint. {GONE}: it has no position here.
-- Reads only. O(entries).
local lock       = KEYS[1]   -- STRING with a TTL: token of the forwarder
local events     = KEYS[2]   -- STREAM, the outbox of the shard
local cursors    = KEYS[3]   -- HASH endpoint -> position
local retries    = KEYS[4]   -- ZSET entry -> due at, ms
local parked     = KEYS[5]   -- HASH entry -> copy of the event
local given_now  = ARGV[1]   -- ms, or empty: Redis TIME
local token      = ARGV[2]   -- token of the caller
local endpoint   = ARGV[3]   -- id of the endpoint
local after      = ARGV[4]   -- last entry the caller has read, or empty: the endpoint's position
local limit      = ARGV[5]   -- most new entries
local most_due   = ARGV[6]   -- most retries
-- known         = ARGV[7...] -- retries the caller is busy with: not to be given again

--@include lib/clock

if redis.call("GET", lock) ~= token then
  return {"LOST"}
end
local position = redis.call("HGET", cursors, endpoint)
if not position then
  return {"GONE"}
end
local now = clock(given_now)
local busy = {}
for i = 7, #ARGV do
  busy[ARGV[i]] = true
end
local reply = {"OK", "", "0"}
local given = 0
local wanted = tonumber(most_due) + #ARGV - 6
local due = redis.call("ZRANGE", retries, 0, wanted, "WITHSCORES")
for i = 1, #due, 2 do
  local entry, at = due[i], tonumber(due[i + 1])
  if not busy[entry] then
    if at <= now and given < tonumber(most_due) then
      given = given + 1
      reply[#reply + 1] = entry
      reply[#reply + 1] = redis.call("HGET", parked, entry) or ""
    else
      reply[2] = string.format("%.0f", math.max(0, at - now))
      break
    end
  end
end
reply[3] = tostring(given)
if tonumber(limit) > 0 then
  if after == "" then
    after = string.gsub(position, "^~", "")
  end
  for _, entry in ipairs(redis.call("XRANGE", events, "(" .. after, "+", "COUNT", limit)) do
    reply[#reply + 1] = entry[1]
    reply[#reply + 1] = tostring(#entry[2])
    for _, text in ipairs(entry[2]) do
      reply[#reply + 1] = text
    end
  end
end
return reply
