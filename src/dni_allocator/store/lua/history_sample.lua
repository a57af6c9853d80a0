-- Note how full pools are now, and how many pages they turned away since they were last looked at.
-- A pool in which nothing happened this hour costs its four reads and is written nothing of.
-- Replies: {OK, pools that were noted}. Safe to repeat: it looks twice, which a mean does
-- not mind. O(rows).
local tag          = KEYS[1]            -- prefix of the keys of the shard's pools
local history      = KEYS[2]            -- prefix of the HASHes of buckets
local given_now    = ARGV[1]            -- ms, or empty: Redis TIME
local minutes_kept = tonumber(ARGV[2])  -- how long minutes are kept, ms
local hours_kept   = tonumber(ARGV[3])  -- how long hours are kept, ms
-- rows            = ARGV[4...]         -- pool ids

--@include lib/clock
--@include lib/buckets

local now = clock(given_now)
local minute = math.floor(now / 60000)
local noted = 0
for at = 4, #ARGV do
  local pool = ARGV[at]
  local leased = redis.call("ZCARD", tag .. pool .. ":leased")
  local counts = redis.call("HMGET", tag .. pool .. ":stats", "overflow", "turned_away")
  local overflow, turned_away = tonumber(counts[1] or 0), tonumber(counts[2] or 0)
  local seen = history .. pool .. ":seen"
  local before = redis.call("GET", seen)
  local told = overflow .. " " .. turned_away
  if before ~= told then
    -- Counts of before anybody looked belong to no minute.
    local was, had = string.match(before or told, "^(%d+) (%d+)$")
    overflow, turned_away = overflow - tonumber(was), turned_away - tonumber(had)
    redis.call("SET", seen, told, "PX", hours_kept)
  else
    overflow, turned_away = 0, 0
  end
  local in_use = leased > 0 or overflow > 0 or turned_away > 0
    or redis.call("EXISTS", string.format("%s%s:m:%.0f", history, pool, math.floor(minute / 60))) == 1
  if in_use then
    local numbers = redis.call("HLEN", tag .. pool .. ":numbers")
      - redis.call("ZCARD", tag .. pool .. ":free:quarantined")
    note(pool, minute, {0, 0, 0, 0, 0, 0, overflow, turned_away, 1, leased, numbers, leased}, {})
    noted = noted + 1
  end
end
return {"OK", tostring(noted)}
