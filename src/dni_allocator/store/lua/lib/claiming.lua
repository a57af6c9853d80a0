-- Writing a visitor's claims. Apart from reading them: a renewal writes none, and each function costs
-- those who only define it too.
--@include lib/claims

local function pack_claim(destination, number, fence, national, international)
  return destination .. "\t" .. number .. "\t" .. fence .. "\t" .. national .. "\t"
    .. international .. "\n"
end

-- Take one lease out of a visitor's claims: its number goes to somebody else.
local function drop_claim(key, destination, number, fence)
  local lines = redis.call("HGET", key, "l")
  if not lines then
    return
  end
  local kept = ""
  for its_destination, its_number, its_fence, national, international in claims_in(lines) do
    if its_destination ~= destination or its_number ~= number or its_fence ~= fence then
      kept = kept .. pack_claim(its_destination, its_number, its_fence, national, international)
    end
  end
  if kept == "" then
    redis.call("HDEL", key, "l")
  elseif kept ~= lines then
    redis.call("HSET", key, "l", kept)
  end
end
