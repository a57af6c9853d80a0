-- The leases that are this visitor's right now: owner and fence are compared, and the deadline
-- is in the future. A claim that lost its number to somebody else is not among them.
--@needs visitor visitor_id leased holders
--@include lib/claims

local function live_leases(now)
  local own = {}
  each_claim(redis.call("HGET", visitor, "l") or "", function(_, number, fence)
    local deadline = redis.call("ZSCORE", leased, number)
    local packed = deadline and redis.call("HGET", holders, number)
    if packed and tonumber(deadline) > now then
      local owner, _, from, its_fence = unpack_holder(packed)
      if owner == visitor_id and its_fence == fence then
        own[#own + 1] = {number = number, deadline = tonumber(deadline), from = tonumber(from)}
      end
    end
  end)
  return own
end
