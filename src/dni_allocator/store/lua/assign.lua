-- Give a visitor's page its numbers: renew, return or lease one for every destination.
-- Replies: {OK, now, then per row: status, reason, number, fence, deadline, national,
--          international}; status `leased`, `overflow` or `none` (nothing to give: the original).
--          {STALE}: the pool was edited since the caller read it; nothing was written.
--          {GONE}: there is no such pool.
-- A page view is a sign of life of the visitor: leases for destinations that this page does not
-- show are renewed too.
-- Idempotent: a second run renews what the first one leased. O(rows + leases of the visitor +
-- reclaimed leases).
local conf        = KEYS[1]              -- HASH of the pool: rev, fence, …
local leased      = KEYS[2]              -- ZSET number -> deadline, ms
local holders     = KEYS[3]              -- HASH number -> packed holder
local numbers     = KEYS[4]              -- HASH number -> packed number
local shelves     = KEYS[5]              -- HASH shelf -> numbers attached
local visitor     = KEYS[6]              -- HASH of this visitor: l, p:<page>, c
local stats       = KEYS[7]              -- HASH of counters
local events      = KEYS[8]              -- STREAM, the outbox of the shard
local due         = KEYS[9]              -- ZSET pool -> lower bound of its next deadline, ms
local drained     = KEYS[10]             -- SET of numbers that left when their lease ended
local free        = KEYS[11]             -- prefix of ZSET number -> released at, ms, by shelf
local past        = KEYS[12]             -- prefix of LIST of earlier holders, by number
local visitors    = KEYS[13]             -- prefix of the visitors' hashes
local given_now   = ARGV[1]              -- ms, or empty: Redis TIME
local rev         = ARGV[2]              -- revision of the pool the caller decided by
local pool_id     = ARGV[3]              -- id of the pool, for events
local visitor_id  = ARGV[4]              -- id of the visitor
local page_id     = ARGV[5]              -- id of the page
local idle        = tonumber(ARGV[6])    -- idle limit, ms
local window      = tonumber(ARGV[7])    -- attribution window, ms
local selection   = ARGV[8]              -- least_recently_released | random
local overflow    = ARGV[9]              -- shared number to show when none is free, or empty
local data        = ARGV[10]             -- captured data, JSON text, or empty: keep what is known
-- rows           = ARGV[11...]          -- destination, previous number, shelves (comma separated)
local first_row   = 11

--@include lib/revision
--@include lib/clock
--@include lib/records
--@include lib/ending
--@include lib/claims
--@include lib/pages

local rows = (#ARGV - first_row + 1) / 3
local now = clock(given_now)
local reply = {"OK", tostring(now)}
if rows == 0 then
  return reply
end

-- Take a free number off its shelf; the first shelf that has one wins. nil when all are empty.
local function pick(names)
  for shelf in string.gmatch(names, "[^,]+") do
    local key = free .. shelf
    if selection == "random" then
      local number = redis.call("ZRANDMEMBER", key)
      if number then
        local released_at = redis.call("ZSCORE", key, number)
        redis.call("ZREM", key, number)
        return number, released_at
      end
    else
      local head = redis.call("ZPOPMIN", key)
      if head[1] then
        return head[1], head[2]
      end
    end
  end
  return nil
end

-- The visitor's earlier number, if nobody held it since and it is free: off its shelf.
local function take_back(number, destination)
  local packed = redis.call("HGET", holders, number)
  local stored = packed and redis.call("HGET", numbers, number)
  if not stored then
    return nil
  end
  local owner, its_destination = unpack_holder(packed)
  if owner ~= visitor_id or its_destination ~= destination then
    return nil
  end
  local key = free .. unpack_number(stored)
  local released_at = redis.call("ZSCORE", key, number)
  if not released_at or tonumber(released_at) + window <= now then
    return nil
  end
  redis.call("ZREM", key, number)
  return number, released_at
end

-- The former holder moves to the history of the number, and forgets the number. Returns the data
-- known of the visitor when it was they themselves who had it last.
local function retire_holder(number, released_at)
  local packed = redis.call("HGET", holders, number)
  if not packed then
    return
  end
  local owner, destination, _, fence, its_data = unpack_holder(packed)
  if owner ~= visitor_id then
    drop_claim(visitors .. owner, destination, number, fence)
  end
  if tonumber(released_at) + window > now then
    remember_holder(number, released_at, packed, window, now)
    return owner == visitor_id and its_data or nil
  end
end

-- Deadline of the pool's lease that ends first, as seen before this page leased anything.
local earliest

local function lease(number, released_at, destination, reason)
  local kept = retire_holder(number, released_at)
  local known = data == "" and kept or data
  local fence = tostring(redis.call("HINCRBY", conf, "fence", 1))
  redis.call("HSET", holders, number, pack_holder(visitor_id, destination, now, fence, known))
  redis.call("ZADD", leased, now + idle, number)
  if not earliest or earliest > now + idle then
    redis.call("ZADD", due, "LT", now + idle, pool_id) -- else it is due by then already
  end
  redis.call("XADD", events, "*", "t", "number.assigned", "p", pool_id, "n", number,
    "v", visitor_id, "d", destination, "f", fence, "w", now, "r", reason, "x", known)
  if reason ~= "new" then
    redis.call("HINCRBY", stats, reason, 1) -- new ones are the other leases ever given: the fence
  end
  local _, _, national, international = unpack_number(redis.call("HGET", numbers, number))
  return {number, fence, national, international}
end

-- A live lease of this visitor for this destination gets a new deadline. The owner and the
-- fence are compared: a mapping may outlive its lease, and the number may have gone to another.
local function renew(number, fence, keep_data)
  local packed = redis.call("HGET", holders, number)
  local owner, destination, from, its_fence, its_data
  if packed then
    owner, destination, from, its_fence, its_data = unpack_holder(packed)
  end
  if owner ~= visitor_id or its_fence ~= fence then
    return false
  end
  local deadline = redis.call("ZSCORE", leased, number)
  if not deadline then
    return false
  end
  if tonumber(deadline) <= now then
    end_lease(number, deadline, nil, window)
    return false
  end
  redis.call("ZADD", leased, now + idle, number)
  if now + idle < tonumber(deadline) then
    redis.call("ZADD", due, "LT", now + idle, pool_id) -- the idle limit was shortened
  end
  if not keep_data and data ~= "" and data ~= its_data then
    redis.call("HSET", holders, number, pack_holder(owner, destination, from, fence, data))
  end
  return true
end

-- The last visitors who were shown a shared number, newest first, each once.
local function remember_overflow(destination)
  local key = past .. overflow
  for _, entry in ipairs(redis.call("LRANGE", key, 0, 7)) do
    local owner, _, from = unpack_holder(string.match(entry, "^[^\t]*\t(.*)$"))
    if owner == visitor_id or tonumber(from) + window <= now then
      redis.call("LREM", key, 1, entry)
    end
  end
  redis.call("LPUSH", key, "\t" .. pack_holder(visitor_id, destination, now, "0", data))
  redis.call("LTRIM", key, 0, 7)
  redis.call("PEXPIRE", key, window)
end

local function answer(status, reason, number, fence, deadline, national, international)
  local row = {status, reason, number, fence, deadline, national, international}
  for at = 1, 7 do
    reply[#reply + 1] = row[at]
  end
end

local claims, order = {}, {}
each_claim(
  redis.call("HGET", visitor, "l") or "",
  function(destination, number, fence, national, international)
    claims[destination] = {number, fence, national, international}
    order[#order + 1] = destination
  end
)

-- A lease for one destination that cannot be renewed: the number this visitor had, or a free one.
local looked = false
local function find(destination, previous, names)
  if not looked then
    looked = true
    earliest = tonumber(redis.call("ZRANGE", leased, 0, 0, "WITHSCORES")[2])
    if earliest and earliest <= now then
      reclaim(now, 2 * rows + 2, window)
    end
  end
  local number, released_at
  if claims[destination] then
    number, released_at = take_back(claims[destination][1], destination)
  end
  if not number and previous ~= "" then
    number, released_at = take_back(previous, destination)
  end
  if number then
    return "returned", number, released_at
  end
  number, released_at = pick(names)
  if not number then
    -- Expired leases of other shelves may have hidden one of these: look again, further.
    reclaim(now, 64, window)
    number, released_at = pick(names)
  end
  return "new", number, released_at
end

local asked, changed, holds_a_lease = {}, false, false
for row = 0, rows - 1 do
  local at = first_row + 3 * row
  local destination = ARGV[at]
  local claim = claims[destination]
  asked[destination] = true
  if claim and renew(claim[1], claim[2]) then
    answer("leased", "renewed", claim[1], claim[2], tostring(now + idle), claim[3], claim[4])
    holds_a_lease = true
  else
    local reason, number, released_at = find(destination, ARGV[at + 1], ARGV[at + 2])
    if number then
      if not claim then
        order[#order + 1] = destination
      end
      claim = lease(number, released_at, destination, reason)
      claims[destination] = claim
      changed, holds_a_lease = true, true
      answer("leased", reason, claim[1], claim[2], tostring(now + idle), claim[3], claim[4])
    elseif overflow ~= "" then
      remember_overflow(destination)
      redis.call("HINCRBY", stats, "overflow", 1)
      answer("overflow", "exhausted", overflow, "", "", "", "")
    else
      redis.call("HINCRBY", stats, "turned_away", 1)
      answer("none", "exhausted", "", "", "", "", "")
    end
  end
end

local lines = changed and "" or nil
for _, destination in ipairs(order) do
  local claim = claims[destination]
  -- What this page captured belongs to what it shows: the others keep their data.
  if not asked[destination] and renew(claim[1], claim[2], true) then
    holds_a_lease = true
  end
  if changed then
    lines = lines .. pack_claim(destination, unpack(claim))
  end
end
if holds_a_lease then
  open_page(page_id, now, lines)
end
return reply
