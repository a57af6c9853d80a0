-- Replace a record among others of its kind, if it is still the one the caller has seen.
-- Replies: {OK}; {CONFLICT, the record}: it is another now; {GONE}: it was deleted.
-- Idempotent: a record that is already the new one is OK. O(1).
local records = KEYS[1]  -- HASH id -> record, JSON
local id      = ARGV[1]  -- id of the record
local seen    = ARGV[2]  -- record the caller has read
local record  = ARGV[3]  -- record to write

local current = redis.call("HGET", records, id)
if not current then
  return {"GONE"}
end
if current ~= seen and current ~= record then
  return {"CONFLICT", current}
end
-- Also when the server's memory is full (lib/full): a write that changes nothing comes first.
redis.call("HDEL", records, "")
redis.call("HSET", records, id, record)
return {"OK"}
