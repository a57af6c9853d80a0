-- The leases that are this visitor's right now: owner and fence are compared, and the deadline
-- is in the future. A claim that lost its number to somebody else is not among them.
--@needs visitor visitor_id leased holders

local function live_leases(now)
  local own = {}
  local fields = redis.call("HGETALL", visitor)
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 2) == "d:" then
      local number, fence = unpack_claim(fields[i + 1])
      local deadline = redis.call("ZSCORE", leased, number)
      local packed = deadline and redis.call("HGET", holders, number)
      if packed and tonumber(deadline) > now then
        local owner, _, _, its_fence = unpack_holder(packed)
        if owner == visitor_id and its_fence == fence then
          own[#own + 1] = {number = number, deadline = tonumber(deadline)}
        end
      end
    end
  end
  return own
end
