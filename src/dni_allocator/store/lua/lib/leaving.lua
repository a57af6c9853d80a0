-- A shelf that loses a number. The last one takes along where its numbers belong, and the orders
-- made with it: a destination that only this shelf fitted has no match from then on.
--@needs conf shelves places orders

local function leave_shelf(shelf)
  if redis.call("HINCRBY", shelves, shelf, -1) <= 0 then
    redis.call("HDEL", shelves, shelf)
    if redis.call("HDEL", places, shelf) == 1 then
      redis.call("HINCRBY", conf, "shelving", 1)
      redis.call("DEL", orders)
    end
  end
end
