-- What is remembered of a caller, by the number they dialed: when, how sure the attribution was,
-- and the packed holder (lib/records), separated by tabs. Without a visitor the holder is empty.
--@needs caller

local MOST_NUMBERS = 8

local function remember(number, memory, overwrites, keep)
  if overwrites then
    redis.call("HSET", caller, number, memory)
  else
    redis.call("HSETNX", caller, number, memory)
  end
  redis.call("PEXPIRE", caller, keep)
  if redis.call("HLEN", caller) <= MOST_NUMBERS then
    return
  end
  local oldest, since
  local fields = redis.call("HGETALL", caller)
  for i = 1, #fields, 2 do
    local at = tonumber(string.match(fields[i + 1], "^[^\t]*"))
    if fields[i] ~= number and (not since or at < since) then
      oldest, since = fields[i], at
    end
  end
  redis.call("HDEL", caller, oldest)
end
