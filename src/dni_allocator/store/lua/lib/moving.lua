-- A free number changes shelves and keeps when it was released.
--@needs conf free

local function move_free(number, from, to)
  local released_at = redis.call("ZSCORE", free .. from, number)
  if not released_at then
    return
  end
  redis.call("ZREM", free .. from, number)
  redis.call("ZADD", free .. to, released_at, number)
  -- The sweeper remembers how far it has forgotten the holders of a shelf; it looks again from here.
  local purged = redis.call("HGET", conf, "purged:" .. to)
  if purged and tonumber(purged) >= tonumber(released_at) then
    redis.call("HSET", conf, "purged:" .. to, tonumber(released_at) - 1)
  end
end
