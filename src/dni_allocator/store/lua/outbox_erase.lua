-- Erase a visitor from a part of the outbox: entries that every active endpoint has taken. One
-- that somebody has yet to take is an event not to be lost; it leaves by trimming.
-- Replies: {MORE or DONE, where to go on, erased, left}. Idempotent. O(count + endpoints).
local events     = KEYS[1]  -- STREAM, the outbox of the shard
local cursors    = KEYS[2]  -- HASH endpoint -> position; `~` before it: suspended
local visitor_id = ARGV[1]  -- id of the visitor
local start      = ARGV[2]  -- first entry to look at
local count      = ARGV[3]  -- how many

--@include lib/entry_ids

local positions = {}
for _, position in ipairs(redis.call("HVALS", cursors)) do
  if string.sub(position, 1, 1) ~= "~" then
    positions[#positions + 1] = position
  end
end

local function taken(id)
  for _, position in ipairs(positions) do
    if id_before(position, id) then
      return false
    end
  end
  return true
end

local part = redis.call("XRANGE", events, start, "+", "COUNT", count)
local erased, left = 0, 0
for _, entry in ipairs(part) do
  local theirs, farewell = false, false
  for i = 1, #entry[2], 2 do
    if entry[2][i] == "v" and entry[2][i + 1] == visitor_id then
      theirs = true
    elseif entry[2][i] == "t" and entry[2][i + 1] == "visitor.erased" then
      farewell = true
    end
  end
  if theirs and not farewell then
    if taken(entry[1]) then
      erased = erased + redis.call("XDEL", events, entry[1])
    else
      left = left + 1
    end
  end
end
local last = part[#part]
local more = #part == tonumber(count)
return {more and "MORE" or "DONE", more and id_after(last[1]) or "", tostring(erased), tostring(left)}
