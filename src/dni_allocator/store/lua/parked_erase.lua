-- Erase a visitor from the dead letters of an endpoint. Copies that wait for a retry stay: they are
-- delivered, or die within the days of the schedule.
-- Replies: {MORE or DONE, cursor, erased, left}. Idempotent. O(part of the copies).
local dead_letters = KEYS[1]  -- ZSET entry -> dead since, ms
local parked       = KEYS[2]  -- HASH entry -> copy of the event, JSON
local visitor_id   = ARGV[1]  -- id of the visitor
local cursor       = ARGV[2]  -- where to go on; 0: begin
local count        = ARGV[3]  -- how many copies to look at, about

local part = redis.call("HSCAN", parked, cursor, "COUNT", count)
local erased, left = 0, 0
for i = 1, #part[2], 2 do
  local entry, read, copy = part[2][i], pcall(cjson.decode, part[2][i + 1])
  local fields = read and copy.fields
  if type(fields) == "table" and fields.v == visitor_id and fields.t ~= "visitor.erased" then
    if redis.call("ZREM", dead_letters, entry) == 1 then
      erased = erased + redis.call("HDEL", parked, entry)
    else
      left = left + 1
    end
  end
end
return {part[1] == "0" and "DONE" or "MORE", part[1], tostring(erased), tostring(left)}
