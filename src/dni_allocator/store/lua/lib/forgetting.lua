-- One visitor out of the history of a number.
--@include lib/records

-- Remove the entries of this visitor from a list of earlier holders; how many there were.
local function forget_history(key, visitor_id)
  local gone = 0
  for _, entry in ipairs(redis.call("LRANGE", key, 0, -1)) do
    if unpack_holder(string.match(entry, "^[^\t]*\t(.*)$") or "") == visitor_id then
      gone = gone + redis.call("LREM", key, 0, entry)
    end
  end
  return gone
end
