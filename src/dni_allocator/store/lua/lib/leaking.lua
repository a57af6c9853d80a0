-- A number that strangers dial stands somewhere it should not: in print, in a cache, in an index.
--@needs events pool_id suspects alarm

local DAY = 86400000 -- ms

-- Note one caller; the event is sent when `enough` different ones came within a day, once a day.
local function suspect(caller, enough, leak)
  if redis.call("SCARD", suspects) < enough then
    redis.call("SADD", suspects, caller)
    redis.call("PEXPIRE", suspects, DAY)
  end
  local callers = redis.call("SCARD", suspects)
  if callers < enough or not redis.call("SET", alarm, "1", "NX", "PX", DAY) then
    return
  end
  redis.call("XADD", events, "*", "t", "number.leaked", "p", pool_id, "n", leak.number,
    "v", leak.visitor, "f", leak.fence, "w", leak.now, "r", leak.reason,
    "j", string.format('{"callers":%d,"call_id":"%s"}', callers, leak.call))
end
