-- Note a change in the audit log, and let go of what is too old or too much.
-- Replies: {OK, entry}. Idempotent while the entry is among the last 20. O(log entries).
local audit     = KEYS[1]              -- STREAM of changes
local given_now = ARGV[1]              -- ms, or empty: Redis TIME
local token     = ARGV[2]              -- of this one request
local keep      = tonumber(ARGV[3])    -- ms, how long entries are kept
local most      = tonumber(ARGV[4])    -- most entries
local key_id    = ARGV[5]              -- whose key
local action    = ARGV[6]              -- method and route, or a command
local about     = ARGV[7]              -- ids, JSON text
local changed   = ARGV[8]              -- names of fields, by spaces
local status    = ARGV[9]              -- HTTP status, or 0

--@include lib/clock

local now = clock(given_now)
for _, entry in ipairs(redis.call("XREVRANGE", audit, "+", "-", "COUNT", 20)) do
  for i = 1, #entry[2], 2 do
    if entry[2][i] == "u" and entry[2][i + 1] == token then
      return {"OK", entry[1]}
    end
  end
end
-- Also when the server's memory is full (lib/full): a write that changes nothing comes first.
redis.call("XDEL", audit, "0-0")
local id = redis.call("XADD", audit, "*", "w", string.format("%.0f", now), "u", token, "k", key_id,
  "a", action, "o", about, "c", changed, "s", status)
redis.call("XTRIM", audit, "MAXLEN", most)
for _, entry in ipairs(redis.call("XRANGE", audit, "-", "+", "COUNT", 100)) do
  if entry[2][1] ~= "w" or tonumber(entry[2][2]) > now - keep then
    break
  end
  redis.call("XDEL", audit, entry[1])
end
redis.call("PEXPIRE", audit, keep)
return {"OK", id}
