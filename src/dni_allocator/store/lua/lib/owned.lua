-- Whether what a claim says is still true: owner and fence are compared each time. A claim may
-- outlive its lease, and the number may have gone to somebody else.
--@needs visitor_id leased holders
--@include lib/records

-- The visitor's own lease of this number: deadline (maybe past, if nobody has ended it yet), when
-- it began (text, ms), its data. nil where there is none any more.
local function own_lease(number, fence)
  local packed = redis.call("HGET", holders, number)
  if not packed then
    return nil
  end
  local owner, _, from, its_fence, data = unpack_holder(packed)
  if owner ~= visitor_id or its_fence ~= fence then
    return nil
  end
  return tonumber(redis.call("ZSCORE", leased, number)), from, data
end
