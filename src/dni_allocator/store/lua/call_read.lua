-- One call and the present instant.
-- Replies: {OK, now, document}; {NONE, now}: never recorded, or its retention is over.
-- Reads only. O(1).
local call      = KEYS[1]    -- STRING, the call as JSON text
local given_now = ARGV[1]    -- ms, or empty: Redis TIME

--@include lib/clock

local now = tostring(clock(given_now))
local document = redis.call("GET", call)
if not document then
  return {"NONE", now}
end
return {"OK", now, document}
