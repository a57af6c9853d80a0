-- Erase a visitor from what a pool remembers of some callers.
-- Replies: {OK, memories erased}. Idempotent. O(rows): a caller has at most eight memories.
local callers    = KEYS[1]     -- prefix of HASH number they dialed -> packed memory, by caller
local visitor_id = ARGV[1]     -- id of the visitor
-- rows          = ARGV[2...]  -- hash of a caller

--@include lib/records

local erased = 0
for at = 2, #ARGV do
  local key = callers .. ARGV[at]
  local memories = redis.call("HGETALL", key)
  for i = 1, #memories, 2 do
    local holder = string.match(memories[i + 1], "^[^\t]*\t[^\t]*\t(.*)$") or ""
    if unpack_holder(holder) == visitor_id then
      erased = erased + redis.call("HDEL", key, memories[i])
    end
  end
end
return {"OK", tostring(erased)}
