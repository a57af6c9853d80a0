-- A server whose memory is full refuses a script's first write if that may need memory, and none that
-- follow. So nothing is written by halves, and the first write decides: docs/redis.md, "Memory".
--@needs conf leased

-- Whether the server is full, as far as a renewal has met it.
local full = false

-- Another deadline for a lease that there is: also when full, as it needs no memory.
local function keep_lease(number, deadline)
  if redis.pcall("ZADD", leased, deadline, number) ~= 0 then
    full = true
    redis.call("HDEL", conf, "") -- no field has this name; after it the server takes any write
    redis.call("ZADD", leased, deadline, number)
  end
end
