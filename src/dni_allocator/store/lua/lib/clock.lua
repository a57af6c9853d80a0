-- The one clock: Redis TIME, in ms, unless a test drives it by giving `now`. As a number and as text,
-- since Lua writes a number of this size slowly.
local function clock(given)
  if given == "" then
    local time = redis.call("TIME")
    given = time[1] .. string.sub("00000" .. time[2], -6, -4)
  end
  return tonumber(given), given
end
