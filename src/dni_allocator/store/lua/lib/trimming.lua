-- How far the outbox was trimmed, so that a reader with an old cursor learns that it missed some.
--@needs events tally

-- What was dropped lies at or before `last`; or, without it, before the oldest entry left.
local function note_trimmed(last)
  if not last then
    local oldest = redis.call("XRANGE", events, "-", "+", "COUNT", 1)
    if not oldest[1] then
      return
    end
    local ms, sequence = id_parts(oldest[1][1])
    if sequence > 0 then
      last = string.format("%.0f-%.0f", ms, sequence - 1)
    else
      last = string.format("%.0f-0", ms - 1)
    end
  end
  redis.call("HSET", tally, "trimmed", last)
end
