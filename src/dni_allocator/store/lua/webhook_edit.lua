-- Replace the record of a webhook endpoint, if it is still the one the caller has seen.
-- Replies: {OK}; {CONFLICT}: it was edited meanwhile; {GONE}: it was deleted.
-- Idempotent: a record that is already the new one is OK. O(1).
local webhooks = KEYS[1]  -- HASH endpoint -> record, JSON
local endpoint = ARGV[1]  -- id of the endpoint
local seen     = ARGV[2]  -- record the caller has read
local record   = ARGV[3]  -- record to write

local current = redis.call("HGET", webhooks, endpoint)
if not current then
  return {"GONE"}
end
if current ~= seen and current ~= record then
  return {"CONFLICT"}
end
redis.call("HSET", webhooks, endpoint, record)
return {"OK"}
