-- What `assign` would look at for one destination of one visitor, without giving anything.
-- Replies: {OK, now, circulating, leased, quarantined, over, idle limit in force, numbers kept for
--          the reserve, number the visitor holds, its deadline, wait of the visitor, of the
--          network, live leases of the network, number it would get back, order of the shelves,
--          then per shelf that has a number to give: name, how many, the one released longest
--          ago, when}. `over`: leases that ended, or would give way, as soon as somebody asks.
--          {UNORDERED}: the order of shelves is not known; put it (`order_put`), then call again.
--          {GONE}: no such pool.
-- Reads only. O(shelves + leases that are over, 64 at most).
local conf        = KEYS[1]              -- HASH of the pool
local leased      = KEYS[2]              -- ZSET number -> deadline, ms
local holders     = KEYS[3]              -- HASH number -> packed holder
local numbers     = KEYS[4]              -- HASH number -> packed number
local shelves     = KEYS[5]              -- HASH shelf -> numbers attached
local visitor     = KEYS[6]              -- HASH of this visitor
local orders      = KEYS[7]              -- HASH destination -> shelves, best first
local free        = KEYS[8]              -- prefix of ZSET number -> released at, ms, by shelf
local visitors    = KEYS[9]              -- prefix of the visitors' hashes
local limits      = KEYS[10]             -- prefix of what the rate limits remember
local given_now   = ARGV[1]              -- ms, or empty: Redis TIME
local idle        = tonumber(ARGV[2])    -- idle limit, ms
local window      = tonumber(ARGV[3])    -- attribution window, ms
local policy      = ARGV[4]              -- further rules of the pool (lib/policy), or empty
local visitor_id  = ARGV[5]              -- id of the visitor, or empty
local address     = ARGV[6]              -- network of the visitor, or empty
local destination = ARGV[7]              -- E.164

--@include lib/clock
--@include lib/load
--@include lib/limits
--@include lib/claims

if redis.call("HEXISTS", conf, "rev") == 0 then
  return {"GONE"}
end
if matching and redis.call("HEXISTS", orders, destination) == 0 then
  return {"UNORDERED"}
end
local now = clock(given_now)
local circulating, held = occupancy()
local order = matching and redis.call("HGET", orders, destination) or "any"

-- Numbers that `assign` would find free though they are not yet: shelf -> number -> released at.
-- How many leases it ends, and when it looks for more, is as in assign.lua for one destination.
local FIRST, FURTHER = 4, 64
local freed, over = {}, 0
local function count_as_free(number, released_at)
  local shelf, state = unpack_number(redis.call("HGET", numbers, number))
  if state ~= "" then
    return false
  end
  freed[shelf] = freed[shelf] or {}
  if not freed[shelf][number] then
    freed[shelf][number] = tonumber(released_at)
    over = over + 1
  end
  return true
end

local circulating_then, held_then = circulating, held
local found = redis.call("ZRANGEBYSCORE", leased, "-inf", now, "WITHSCORES", "LIMIT", 0, FURTHER)
for i = 1, #found, 2 do
  local stays = count_as_free(found[i], found[i + 1])
  if matching or i < 2 * FIRST then
    held_then = held_then - 1
    circulating_then = circulating_then - (stays and 0 or 1)
  end
end

local in_force = idle_under(circulating_then, held_then)
local gone = {}
local function count_who_gives_way(limit, circulating_now, held_now)
  for _, number in ipairs(who_gives_way(now, limit, circulating_now, held_now, gone)) do
    gone[number] = true
    count_as_free(number, now)
  end
end
count_who_gives_way(FIRST, circulating_then, held_then)
local over_at_once = over

local function any_fits()
  for shelf in string.gmatch(order, "[^,|]+") do
    if freed[shelf] or redis.call("EXISTS", free .. shelf) == 1 then
      return true
    end
  end
  return false
end
if not any_fits() then
  count_who_gives_way(FURTHER, circulating, held - over)
end

local own, own_deadline, back = "", "", ""
local function look_at(number, fence)
  local owner, _, _, its_fence = unpack_holder(redis.call("HGET", holders, number) or "")
  if owner ~= visitor_id or its_fence ~= fence then
    return
  end
  local deadline = redis.call("ZSCORE", leased, number)
  if deadline and tonumber(deadline) > now then
    own, own_deadline = number, deadline
    return
  end
  local shelf, state = unpack_number(redis.call("HGET", numbers, number) or "")
  local lies_on = state == HELD and QUARANTINE or shelf
  local ended = deadline or (shelf and redis.call("ZSCORE", free .. lies_on, number))
  if (state == "" or state == HELD) and ended and tonumber(ended) + window > now then
    back = number
  end
end
for its_destination, number, fence in claims_in(redis.call("HGET", visitor, "l") or "") do
  if its_destination == destination then
    look_at(number, fence)
  end
end

local visitor_wait = wait_for(limits .. "v:" .. visitor_id, visitor_interval, visitor_burst, now)
local network_wait, network_leases = 0, 0
if address ~= "" then
  network_wait = wait_for(limits .. "a:" .. address, address_interval, address_burst, now)
  network_leases = leases_of_network(now)
end
local reply = {
  "OK", tostring(now), tostring(circulating), tostring(held),
  tostring(redis.call("ZCARD", free .. QUARANTINE)), tostring(over_at_once), tostring(in_force),
  tostring(kept_of(circulating)), own, own_deadline, tostring(visitor_wait),
  tostring(network_wait), tostring(network_leases), back, order,
}
for shelf in string.gmatch(order, "[^,|]+") do
  local head = redis.call("ZRANGE", free .. shelf, 0, 0, "WITHSCORES")
  local first, released_at = head[1], tonumber(head[2])
  local count = redis.call("ZCARD", free .. shelf)
  for number, at in pairs(freed[shelf] or {}) do
    count = count + 1
    -- Of those released at the same instant, Redis has them in the order of their names.
    if not released_at or at < released_at or (at == released_at and number < first) then
      first, released_at = number, at
    end
  end
  if first then
    for _, value in ipairs({shelf, tostring(count), first, tostring(released_at)}) do
      reply[#reply + 1] = value
    end
  end
end
return reply
