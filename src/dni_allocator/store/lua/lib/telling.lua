-- Events that the caller wrote: from `values[first]` on, for each the number of its values and these.
--@needs events

local function tell(values, first)
  local at = first
  while at < #values do
    local count = tonumber(values[at])
    redis.call("XADD", events, "*", unpack(values, at + 1, at + count))
    at = at + count + 1
  end
end
