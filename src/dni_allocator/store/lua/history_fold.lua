-- Add what entries of the outbox say to the history of their pools, and move on behind them.
-- Replies: {OK}; {MOVED}: somebody else has folded from there; nothing was written.
-- Safe to run twice: the second run finds the position moved. O(rows).
local position     = KEYS[1]            -- STRING, last outbox entry that was folded in
local history      = KEYS[2]            -- prefix of the HASHes of buckets
local was          = ARGV[1]            -- the position as the caller read it, or empty
local becomes      = ARGV[2]            -- the last entry in the rows
local minutes_kept = tonumber(ARGV[3])  -- how long minutes are kept, ms
local hours_kept   = tonumber(ARGV[4])  -- how long hours are kept, ms
-- rows            = ARGV[5...]         -- pool, minute since 1970, counts, reuse gaps

--@include lib/buckets

if (redis.call("GET", position) or "") ~= was then
  return {"MOVED"}
end
for at = 5, #ARGV, 4 do
  local values = unpack_bucket(ARGV[at + 2])
  local _, gaps = unpack_bucket("|" .. ARGV[at + 3])
  note(ARGV[at], tonumber(ARGV[at + 1]), values, gaps)
end
redis.call("SET", position, becomes)
return {"OK"}
