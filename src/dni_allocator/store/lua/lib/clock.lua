-- The one clock: Redis TIME, in ms, unless a test drives it by giving `now`.
local function clock(given)
  if given ~= "" then
    return tonumber(given)
  end
  local time = redis.call("TIME")
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
