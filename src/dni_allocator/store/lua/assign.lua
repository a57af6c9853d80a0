-- Give a visitor's page its numbers: renew, return or lease one for every destination.
-- Replies: {OK, now, then per row: status, reason, number, fence, deadline, national,
--          international}; status `leased`, `overflow` or `none` (nothing to give: the original).
--          Where nothing is leased, the deadline is when a rate limit allows the next one, if any.
--          {STALE}: the pool was edited since the caller read it; nothing was written.
--          {UNORDERED, destination…}: the order of shelves is not known for these (any more);
--          nothing was written. Put it (`order_put`), then call again.
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
local orders      = KEYS[11]             -- HASH destination -> shelves, best first (matching pools)
local free        = KEYS[12]             -- prefix of ZSET number -> released at, ms, by shelf
local past        = KEYS[13]             -- prefix of LIST of earlier holders, by number
local visitors    = KEYS[14]             -- prefix of the visitors' hashes
local limits      = KEYS[15]             -- prefix of what the rate limits remember
local given_now   = ARGV[1]              -- ms, or empty: Redis TIME
local rev         = ARGV[2]              -- revision of the pool the caller decided by
local pool_id     = ARGV[3]              -- id of the pool, for events
local visitor_id  = ARGV[4]              -- id of the visitor
local page_id     = ARGV[5]              -- id of the page
local idle        = tonumber(ARGV[6])    -- idle limit, ms
local window      = tonumber(ARGV[7])    -- attribution window, ms
local selection   = ARGV[8]              -- least_recently_released | random
local policy      = ARGV[9]              -- further rules of the pool (lib/policy), or empty
local overflow    = ARGV[10]             -- shared number to show when none is free, or empty
local data        = ARGV[11]             -- captured data, JSON text, or empty: keep what is known
local refusal     = ARGV[12]             -- why nothing new is leased to this page, or empty
local entitled    = ARGV[13]             -- "1": the pool's reserve is for visitors like this one
local address     = ARGV[14]             -- network of the visitor for the limits, or empty
-- rows           = ARGV[15...]          -- destination, previous number
local first_row   = 15

--@include lib/revision
--@include lib/clock
--@include lib/records
--@include lib/ending
--@include lib/claims
--@include lib/pages
--@include lib/picking
--@include lib/pressure
--@include lib/limits

local rows = (#ARGV - first_row + 1) / 2
local now = clock(given_now)
local reply = {"OK", tostring(now)}
if rows == 0 then
  return reply
end
if matching then
  local unordered = {"UNORDERED"}
  for at = first_row, #ARGV, 2 do
    if redis.call("HEXISTS", orders, ARGV[at]) == 0 then
      unordered[#unordered + 1] = ARGV[at]
    end
  end
  if #unordered > 1 then
    return unordered
  end
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
  local shelf, state = unpack_number(stored) -- not found there while in quarantine
  local key = free .. (state == HELD and QUARANTINE or shelf)
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
-- A first lease is short until the tag has beaten once: what only loads a page does not do that.
local span = idle
if provisional > 0 and not redis.call("HGET", visitor, "h") then
  span = math.min(idle, provisional)
end

local function lease(number, released_at, destination, reason)
  local kept = retire_holder(number, released_at)
  local known = data == "" and kept or data
  local fence = tostring(redis.call("HINCRBY", conf, "fence", 1))
  redis.call("HSET", holders, number, pack_holder(visitor_id, destination, now, fence, known))
  local deadline = lock_until(now, now, span)
  redis.call("ZADD", leased, deadline, number)
  if not earliest or earliest > deadline then
    redis.call("ZADD", due, "LT", deadline, pool_id) -- else it is due by then already
  end
  redis.call("XADD", events, "*", "t", "number.assigned", "p", pool_id, "n", number,
    "v", visitor_id, "d", destination, "f", fence, "w", now, "r", reason, "g", released_at,
    "x", known)
  if reason ~= "new" then
    redis.call("HINCRBY", stats, reason, 1) -- new ones are the other leases ever given: the fence
  end
  if charge_lease then
    charge_lease(number, fence, now)
  end
  local _, _, national, international = unpack_number(redis.call("HGET", numbers, number))
  return {number, fence, national, international}, deadline
end

-- A live lease of this visitor for this destination gets a new deadline. The owner and the
-- fence are compared: a mapping may outlive its lease, and the number may have gone to another.
-- Returns the new deadline, or nil.
local function renew(number, fence, keep_data)
  local packed = redis.call("HGET", holders, number)
  local owner, destination, from, its_fence, its_data
  if packed then
    owner, destination, from, its_fence, its_data = unpack_holder(packed)
  end
  if owner ~= visitor_id or its_fence ~= fence then
    return nil
  end
  local before = redis.call("ZSCORE", leased, number)
  if not before then
    return nil
  end
  local deadline = lock_until(now, tonumber(from), span)
  if tonumber(before) <= now or deadline <= now then
    end_lease(number, tostring(math.min(now, tonumber(before))), nil, window)
    return nil
  end
  redis.call("ZADD", leased, deadline, number)
  if deadline < tonumber(before) then
    redis.call("ZADD", due, "LT", deadline, pool_id) -- the rules were tightened
  end
  if not keep_data and data ~= "" and data ~= its_data then
    redis.call("HSET", holders, number, pack_holder(owner, destination, from, fence, data))
  end
  return deadline
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

local claims, claimed = {}, {}
each_claim(
  redis.call("HGET", visitor, "l") or "",
  function(destination, number, fence, national, international)
    claims[destination] = {number, fence, national, international}
    claimed[#claimed + 1] = destination
  end
)

-- A lease for one destination that cannot be renewed: the number this visitor had, or a free one.
-- Returns why, the number and when it was released; without a number, why not, nil and how long
-- to wait, ms.
local looked = false
local function find(destination, previous)
  if refusal ~= "" then
    return refusal
  end
  local wait = limited_for and limited_for(now) or 0
  if wait > 0 then
    return "rate_limited", nil, wait
  end
  if not looked then
    looked = true
    earliest = tonumber(redis.call("ZRANGE", leased, 0, 0, "WITHSCORES")[2])
    if earliest and earliest <= now then
      -- With shelves, an expired lease may hide a better number than the free ones.
      reclaim(now, matching and 64 or 2 * rows + 2, window)
    end
    if give_way then
      give_way(now, 2 * rows + 2, window)
    end
  end
  if only_reserved_left and entitled ~= "1" and only_reserved_left() then
    reclaim(now, 64, window)
    if only_reserved_left() then
      return "reserved"
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
  local order = matching and redis.call("HGET", orders, destination) or "any"
  number, released_at = pick(order)
  if not number then
    -- Expired leases of other shelves may have hidden one of these: look again, further.
    reclaim(now, 64, window)
    if give_way then
      give_way(now, 64, window)
    end
    number, released_at = pick(order)
  end
  if not number then
    return order == "" and "unmatched" or "exhausted"
  end
  return "new", number, released_at
end

-- What the page shows where nothing is leased. Each visitor, or each kind of refusal, is counted.
local function answer_without(reason, destination, wait)
  local retry_at = wait and tostring(now + wait) or ""
  if reason ~= "exhausted" and reason ~= "other_pool" then
    redis.call("HINCRBY", stats, reason, 1)
  end
  local a_visitor = reason == "exhausted" or reason == "reserved" or reason == "unmatched"
  local hidden = a_visitor and unmatched_see_original
    or reason == "rate_limited" and not limited_see_overflow
  if overflow ~= "" and not hidden then
    if a_visitor then
      redis.call("HINCRBY", stats, "overflow", 1)
      remember_overflow(destination)
    end
    answer("overflow", reason, overflow, "", retry_at, "", "")
  else
    if a_visitor then
      redis.call("HINCRBY", stats, "turned_away", 1)
    end
    answer("none", reason, "", "", retry_at, "", "")
  end
end

local asked, changed, holds_a_lease = {}, false, false
for at = first_row, #ARGV, 2 do
  local destination = ARGV[at]
  local claim = claims[destination]
  asked[destination] = true
  local deadline = claim and renew(claim[1], claim[2])
  if deadline then
    answer("leased", "renewed", claim[1], claim[2], tostring(deadline), claim[3], claim[4])
    holds_a_lease = true
  else
    local reason, number, released_at = find(destination, ARGV[at + 1])
    if number then
      if not claim then
        claimed[#claimed + 1] = destination
      end
      claim, deadline = lease(number, released_at, destination, reason)
      claims[destination] = claim
      changed, holds_a_lease = true, true
      answer("leased", reason, claim[1], claim[2], tostring(deadline), claim[3], claim[4])
    else
      answer_without(reason, destination, released_at)
    end
  end
end

local lines = changed and "" or nil
for _, destination in ipairs(claimed) do
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
