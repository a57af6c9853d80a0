-- A visitor's claims: field `l` of their hash, one line for each lease they have, or had last for
-- its destination: destination, number, fence, national, international. (The last two are those
-- of the number, so that a renewal need not look them up.) One field, so that one read of it does
-- not read all open pages too.

-- For each line: destination, number, fence, national, international.
local function claims_in(lines)
  return string.gmatch(lines, "([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\n]*)\n")
end

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
