-- The end of a lease: back to its shelf at the instant it ended, with its event.
--@needs pool_id leased holders numbers shelves stats events due drained free past visitors places
--@include lib/states
--@include lib/records
--@include lib/policy
--@include lib/leaving
--@include lib/past

-- Take a number out of the inventory. Its last holder stays answerable in `past:<number>`.
local function drop_number(number, shelf, ended_at, window)
  local packed = redis.call("HGET", holders, number)
  if packed then
    remember_holder(number, ended_at, packed, window, tonumber(ended_at))
    redis.call("HDEL", holders, number)
  end
  redis.call("HDEL", numbers, number)
  leave_shelf(shelf)
end

-- End the lease of `number` at `ended_at`. Without `reason`, the visitor's own record tells
-- whether the last page was closed or just fell silent.
local function end_lease(number, ended_at, reason, window)
  redis.call("ZREM", leased, number)
  local packed = redis.call("HGET", holders, number)
  local visitor, destination, from, fence, data = unpack_holder(packed)
  if not reason then
    local closed_at = redis.call("HGET", visitors .. visitor, "c")
    reason = (closed_at and closed_at ~= "") and "closed" or "idle"
    if max_age > 0 and tonumber(from) + max_age <= tonumber(ended_at) then
      reason = "max_age"
    end
  end
  redis.call("XADD", events, "*", "t", "lease.ended", "p", pool_id, "n", number, "v", visitor,
    "d", destination, "f", fence, "w", ended_at, "s", from, "r", reason, "x", data)
  redis.call("HINCRBY", stats, "ended", 1)
  local shelf, state = unpack_number(redis.call("HGET", numbers, number))
  if state == "draining" then
    -- The directory of all numbers lies outside this shard: the sweeper tells it.
    drop_number(number, shelf, ended_at, window)
    redis.call("SADD", drained, number)
    redis.call("ZADD", due, "LT", ended_at, pool_id)
  else
    redis.call("ZADD", free .. (state == "" and shelf or QUARANTINE), ended_at, number)
  end
end

-- End up to `limit` leases whose deadline is past; true when more may be waiting.
local function reclaim(now, limit, window)
  local expired = redis.call("ZRANGEBYSCORE", leased, "-inf", now, "WITHSCORES", "LIMIT", 0, limit)
  for i = 1, #expired, 2 do
    end_lease(expired[i], expired[i + 1], nil, window)
  end
  return #expired == 2 * limit
end
