-- The last resort: drop the oldest entries although somebody may not have read them, and count
-- those that an active endpoint had not.
-- Replies: {OK, dropped, lost}. Idempotent: what is to be kept is given, not what is to go.
-- O(limit).
local events  = KEYS[1]            -- STREAM, the outbox of the shard
local cursors = KEYS[2]            -- HASH endpoint -> position; `~` before it: suspended
local tally   = KEYS[3]            -- HASH `lost` -> entries dropped unread, `trimmed` -> last gone
local keep    = tonumber(ARGV[1])  -- how many entries to keep
local limit   = tonumber(ARGV[2])  -- most entries to drop in one run

--@include lib/entry_ids
--@include lib/trimming

local excess = math.min(redis.call("XLEN", events) - keep, limit)
if excess <= 0 then
  return {"OK", "0", "0"}
end
local slowest
for _, position in ipairs(redis.call("HVALS", cursors)) do
  if string.sub(position, 1, 1) ~= "~" then
    if not slowest or id_before(position, slowest) then
      slowest = position
    end
  end
end
local doomed = redis.call("XRANGE", events, "-", "+", "COUNT", excess)
local lost = 0
if slowest then
  for _, entry in ipairs(doomed) do
    if id_before(slowest, entry[1]) then
      lost = lost + 1
    end
  end
end
local last = doomed[#doomed][1]
redis.call("XTRIM", events, "MINID", "=", id_after(last))
note_trimmed(last)
if lost > 0 then
  redis.call("HINCRBY", tally, "lost", lost)
end
return {"OK", tostring(#doomed), tostring(lost)}
