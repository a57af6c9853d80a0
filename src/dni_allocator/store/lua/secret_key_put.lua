-- Make, edit, rotate or revoke a secret key: the secrets that open it become exactly these rows.
-- Field `<key id>` names the digests, newest first; field `<digest>` is a record.
-- Replies: {OK}; {CONFLICT}: somebody else changed the key meanwhile, nothing was written.
-- Idempotent. O(rows).
local keys        = KEYS[1]     -- HASH digest -> record; key id -> its digests
local key_id      = ARGV[1]     -- id of the key
local seen        = ARGV[2]     -- digests the caller has read, by spaces; empty: the key is new
local seen_record = ARGV[3]     -- record of the first of them, or empty
-- rows           = ARGV[4...]  -- digest, record: two values a row; none: revoked

local wanted = {}
for at = 4, #ARGV, 2 do
  wanted[#wanted + 1] = ARGV[at]
end
local index = table.concat(wanted, " ")
local present = redis.call("HGET", keys, key_id) or ""
local newest = string.match(present, "^%S+")
local record = newest and redis.call("HGET", keys, newest) or ""
if present == index and record == (ARGV[5] or "") then
  return {"OK"} -- a second run
end
if present ~= seen or record ~= seen_record then
  return {"CONFLICT"}
end
for digest in string.gmatch(present, "%S+") do
  redis.call("HDEL", keys, digest)
end
redis.call("HDEL", keys, key_id)
for at = 4, #ARGV, 2 do
  redis.call("HSET", keys, ARGV[at], ARGV[at + 1])
end
if index ~= "" then
  redis.call("HSET", keys, key_id, index)
end
return {"OK"}
