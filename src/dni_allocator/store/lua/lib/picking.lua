-- Which free number a new visitor gets. `order` names the shelves best first: ranks separated by
-- commas, shelves of equal rank by bars. Among equals the least recently released number wins, or
-- chance does.
--@needs free selection
--@include lib/policy

-- Take a number off a shelf: number, released at. nil when it is empty.
local function take(shelf)
  local key = free .. shelf
  if selection == "random" then
    local number = redis.call("ZRANDMEMBER", key)
    if not number then
      return nil
    end
    local released_at = redis.call("ZSCORE", key, number)
    redis.call("ZREM", key, number)
    return number, released_at
  end
  local head = redis.call("ZPOPMIN", key)
  return head[1], head[2]
end

local pick = take -- a pool that does not match has one shelf
if matching then
  -- The shelf of a rank to take from; nil when all are empty. O(shelves of the rank).
  local function shelf_of(rank)
    if not string.find(rank, "|", 1, true) then
      return rank
    end
    local chosen, oldest, total = nil, nil, 0
    local sizes = {}
    for shelf in string.gmatch(rank, "[^|]+") do
      if selection == "random" then
        local size = redis.call("ZCARD", free .. shelf)
        total = total + size
        sizes[#sizes + 1] = {shelf, size}
      else
        local head = redis.call("ZRANGE", free .. shelf, 0, 0, "WITHSCORES")
        if head[1] and (not oldest or tonumber(head[2]) < oldest) then
          chosen, oldest = shelf, tonumber(head[2])
        end
      end
    end
    if total > 0 then
      -- Lua's own random numbers begin alike in every script; the clock's microseconds do not.
      local draw = tonumber(redis.call("TIME")[2]) % total
      for _, each in ipairs(sizes) do
        if draw < each[2] then
          return each[1]
        end
        draw = draw - each[2]
      end
    end
    return chosen
  end

  -- Take a number off the best shelf that has one: number, released at. nil when all are empty.
  function pick(order)
    for rank in string.gmatch(order, "[^,]+") do
      local shelf = shelf_of(rank)
      local number, released_at
      if shelf then
        number, released_at = take(shelf)
      end
      if number then
        return number, released_at
      end
    end
    return nil
  end
end
