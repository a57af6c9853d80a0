-- Which shelf a number belongs on. A shelf that is new to the pool makes the known orders of
-- shelves worthless: they are dropped, and made again by whoever misses them.
--@needs conf numbers shelves places orders free
--@include lib/resting
--@include lib/moving
--@include lib/leaving

local function know_shelf(shelf, place)
  if place ~= "" and redis.call("HSETNX", places, shelf, place) == 1 then
    redis.call("HINCRBY", conf, "shelving", 1)
    redis.call("DEL", orders)
  end
end

-- Move a number to `shelf`, keeping when it was released. Its record is for the caller to write.
local function move_to_shelf(number, stored, shelf)
  local before = unpack_number(stored)
  if before == shelf then
    return
  end
  local lies_on = shelf_of_free(stored)
  if lies_on ~= QUARANTINE then
    move_free(number, lies_on, shelf)
  end
  redis.call("HINCRBY", shelves, shelf, 1)
  leave_shelf(before)
end
