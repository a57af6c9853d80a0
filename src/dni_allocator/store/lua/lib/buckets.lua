-- Buckets of a pool's history: one HASH for the minutes of an hour, one for the hours of a day; a
-- field for each bucket, packed (docs/redis.md, "Packed records").
--@needs history minutes_kept hours_kept

local SUMS, FIELDS = 11, 13 -- the first add up, of the others the highest counts

local function unpack_bucket(packed)
  local values, gaps = {}, {}
  local numbers, told = string.match(packed or "", "^([^|]*)|?(.*)$")
  for value in string.gmatch(numbers, "%d+") do
    values[#values + 1] = tonumber(value)
  end
  for bin, times in string.gmatch(told, "(%d+):(%d+)") do
    gaps[bin] = tonumber(times)
  end
  return values, gaps
end

-- Add to one bucket what `values` and `gaps` say; return the bucket's values.
local function add_to(key, field, values, gaps, kept)
  local before, all_gaps = unpack_bucket(redis.call("HGET", key, field))
  local texts = {}
  for at = 1, FIELDS do
    local old, new = before[at] or 0, values[at] or 0
    before[at] = at <= SUMS and old + new or math.max(old, new)
    texts[at] = string.format("%.0f", before[at])
  end
  local packed = table.concat(texts, " ")
  if gaps then
    for bin, times in pairs(gaps) do
      all_gaps[bin] = (all_gaps[bin] or 0) + times
    end
    local parts = {}
    for bin, times in pairs(all_gaps) do
      parts[#parts + 1] = bin .. ":" .. string.format("%.0f", times)
    end
    table.sort(parts)
    packed = packed .. "|" .. table.concat(parts, " ")
  end
  redis.call("HSET", key, field, packed)
  redis.call("PEXPIRE", key, kept)
  return before
end

-- Add to a minute (minutes since 1970) of a pool, and to its hour.
local function note(pool, minute, values, gaps)
  local hour = math.floor(minute / 60)
  local minutes = string.format("%s%s:m:%.0f", history, pool, hour)
  local hours = string.format("%s%s:h:%.0f", history, pool, math.floor(hour / 24))
  local now = add_to(minutes, string.format("%.0f", minute % 60), values, nil, minutes_kept)
  values[FIELDS] = now[1] -- arrivals of the minute so far: the busiest one counts
  add_to(hours, string.format("%.0f", hour % 24), values, gaps, hours_kept)
end
