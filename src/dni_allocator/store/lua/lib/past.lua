-- The history of a number: who held it before.
--@needs past

-- Put a former holder before the others in the history of the number: the last eight within the
-- window. The whole list gets a new TTL, so those who are past the window must leave by hand.
local function remember_holder(number, ended_at, packed, window, now)
  local key = past .. number
  redis.call("LPUSH", key, ended_at .. "\t" .. packed)
  redis.call("LTRIM", key, 0, 7)
  for _ = 1, 7 do
    local ended = tonumber(string.match(redis.call("LINDEX", key, -1), "^[^\t]*"))
    if not ended or ended + window > now then
      break
    end
    redis.call("RPOP", key)
  end
  redis.call("PEXPIRE", key, window)
end
