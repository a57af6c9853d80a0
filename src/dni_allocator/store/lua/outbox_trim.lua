-- Drop entries that every active endpoint has read and that are too old, or too many, to keep.
-- Parked events are copies, so nothing waits for a retry.
-- Replies: {DONE, dropped}; {MORE, dropped}: the limit was reached, run again.
-- Idempotent. O(limit + endpoints).
local events    = KEYS[1]            -- STREAM, the outbox of the shard
local cursors   = KEYS[2]            -- HASH endpoint -> position; `~` before it: suspended
local tally     = KEYS[3]            -- HASH `trimmed` -> no entry after it was dropped
local given_now = ARGV[1]            -- ms, or empty: Redis TIME
local keep      = tonumber(ARGV[2])  -- most entries to keep for replay, give or take a stream node
local keep_for  = tonumber(ARGV[3])  -- how long to keep an entry for replay, ms
local limit     = tonumber(ARGV[4])  -- most entries to drop in one run

--@include lib/clock
--@include lib/entry_ids
--@include lib/trimming

local newest = redis.call("XREVRANGE", events, "+", "-", "COUNT", 1)
if not newest[1] then
  return {"DONE", "0"}
end
local now = clock(given_now)
-- All entries below `floor` have been read by every active endpoint.
local floor = id_after(newest[1][1])
for _, position in ipairs(redis.call("HVALS", cursors)) do
  if string.sub(position, 1, 1) ~= "~" then
    local unread = id_after(position)
    if id_before(unread, floor) then
      floor = unread
    end
  end
end
local dropped = 0
local too_many = redis.call("XLEN", events) - keep
if too_many > 0 then
  dropped = redis.call("XTRIM", events, "MINID", "~", floor, "LIMIT", math.min(too_many, limit))
end
local too_old = string.format("%.0f-0", math.max(0, now - keep_for))
if id_before(floor, too_old) then
  too_old = floor
end
if dropped < limit then
  local aged = redis.call("XTRIM", events, "MINID", "~", too_old, "LIMIT", limit - dropped)
  if aged == 0 then
    -- No whole node is that old, so this looks into one node at most.
    aged = redis.call("XTRIM", events, "MINID", "=", too_old)
  end
  dropped = dropped + aged
end
if dropped > 0 then
  note_trimmed(redis.call("XLEN", events) == 0 and newest[1][1] or nil)
end
-- Whole nodes are dropped, so that a run which stops for the limit may end up to a node below it.
return {dropped > limit / 2 and "MORE" or "DONE", tostring(dropped)}
