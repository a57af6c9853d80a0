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
-- What is held is renewed first, and most page views ask for no more: what only the others need is
-- not even defined for them.
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
local pool        = KEYS[11]             -- prefix of the pool's other keys, see below
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
local browser     = ARGV[12]             -- refusal, entitled, network (below); empty: all three are
-- rows           = ARGV[13...]          -- destination, previous number
local first_row   = 13

--@include lib/revision
--@include lib/clock
--@include lib/records
--@include lib/claims
--@include lib/owned
--@include lib/full
--@include lib/pages

local now, now_text = clock(given_now)
local reply, filled = {"OK", now_text, nil, nil, nil, nil, nil, nil, nil}, 2 -- with room for a row
if #ARGV < first_row then
  return reply
end
local order_of -- destination -> shelves, best first
if matching then
  -- Read before any lease ends: the last number of a shelf takes all orders along.
  order_of = {}
  local unordered = {"UNORDERED"}
  for at = first_row, #ARGV, 2 do
    local order = redis.call("HGET", pool .. "orders", ARGV[at])
    order_of[ARGV[at]] = order
    if not order then
      unordered[#unordered + 1] = ARGV[at]
    end
  end
  if #unordered > 1 then
    return unordered
  end
end

-- A first lease is short until the tag has beaten once: what only loads a page does not do that.
local span = idle
if provisional > 0 and not redis.call("HGET", visitor, "h") then
  span = math.min(idle, provisional)
end

local function answer(status, reason, number, fence, deadline, national, international)
  local at = filled
  reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4] = status, reason, number, fence
  reply[at + 5], reply[at + 6], reply[at + 7] = deadline, national, international
  filled = at + 7
end

local function answer_leased(reason, claim)
  answer(
    "leased", reason, claim.number, claim.fence, tostring(claim.deadline), claim.national,
    claim.international
  )
end

-- What the visitor holds is renewed first, whatever of it this page shows.
local record = redis.call("HMGET", visitor, "l", "x")
local claims, claimed, over, holds_a_lease = {}, {}, {}, false
if record[1] then
  for destination, number, fence, national, international in claims_in(record[1]) do
    local claim = {
      number = number, fence = fence, national = national, international = international,
      deadline = false, -- until it is known that the lease lives
    }
    claims[destination], claimed[#claimed + 1] = claim, destination
    local before, from, known = own_lease(number, fence)
    local deadline = before and lock_until(now, from, span)
    if before and (before <= now or deadline <= now) then
      over[#over + 1] = {number, tostring(math.min(now, before))}
    elseif before then
      keep_lease(number, deadline)
      if deadline < before then
        redis.call("ZADD", due, "LT", deadline, pool_id) -- the rules were tightened
      end
      -- What this page captured belongs to what it shows: the others keep their data.
      if data ~= "" and data ~= known then
        for at = first_row, #ARGV, 2 do
          if ARGV[at] == destination then
            local packed = pack_holder(visitor_id, destination, from, fence, data)
            redis.call("HSET", holders, number, packed)
          end
        end
      end
      claim.deadline, holds_a_lease = deadline, true
    end
  end
end
-- The rows up to the first one that needs a number.
local next_row = first_row
while next_row <= #ARGV do
  local claim = claims[ARGV[next_row]]
  if not claim or not claim.deadline then
    break
  end
  answer_leased("renewed", claim)
  next_row = next_row + 2
end
if next_row > #ARGV and #over == 0 then
  open_page(page_id, now, record[2])
  return reply
end
if next_row <= #ARGV then
  -- A new lease needs memory. A server that is full says so here, where nothing else is written yet.
  if full then
    return redis.error_reply("OOM no memory for a new lease")
  end
  redis.call("HSETNX", conf, "rev", rev)
end

-- Keys by shelf, by number, by visitor; what the rate limits remember; what is said of the browser.
local free     = pool .. "free:"                                                -- ZSET number -> released at, ms
local past     = pool .. "past:"                                                -- LIST of earlier holders
local visitors = pool .. "v:"                                                   -- HASH of a visitor
local orders   = pool .. "orders"                                               -- HASH destination -> shelves
local places   = pool .. "places"                                               -- HASH shelf -> its place
local limits   = policy ~= "" and pool .. "limit:"                              -- see lib/limits
local refusal  = browser ~= "" and string.match(browser, "^[^\t]*") or ""       -- why it gets nothing new, or empty
local entitled = browser ~= "" and string.match(browser, "\t([^\t]*)\t") or ""  -- "1": the reserve is for such
local address  = browser ~= "" and string.match(browser, "[^\t]*$") or ""       -- network, for the limits, or empty

--@include lib/states
--@include lib/claiming
--@include lib/past
--@include lib/picking
--@include lib/limits

-- Deadline of the pool's lease that ends first, as seen before this page leased anything.
local earliest = tonumber(redis.call("ZRANGE", leased, 0, 0, "WITHSCORES")[2])
local some_expired = earliest and earliest <= now
-- End up to `expired` leases that are over, and up to `silent` ones that give way. Most new leases
-- find a free number and end nothing: without rules these are nil, and nothing they need is made.
local make_room, is_reserved
if #over > 0 or some_expired or policy ~= "" then
--@include lib/ending
--@include lib/pressure
  for _, each in ipairs(over) do
    end_lease(each[1], each[2], nil, window)
  end
  function make_room(expired, silent)
    if some_expired then
      reclaim(now, expired, window)
    end
    if give_way then
      give_way(now, silent, window)
    end
  end
  is_reserved = only_reserved_left
end

-- The visitor's earlier number, if nobody held it since and it is free: off its shelf.
local function take_back(number, destination)
  local packed, stored = redis.call("HGET", holders, number), redis.call("HGET", numbers, number)
  if not stored then
    return nil
  end
  local owner, its_destination
  if packed then
    owner, its_destination = unpack_holder(packed)
  end
  local shelf, state = unpack_number(stored) -- not found there while in quarantine
  local theirs = owner == visitor_id and its_destination == destination
  if not theirs then
    -- Another server than before may have forgotten that it was theirs: for as long as such a lease
    -- would live, the page is believed, about a number that it could have got anyway.
    local server = due .. ":server" -- HASH, see due_pools
    local since = redis.call("HGET", server, "since")
    local order = matching and order_of[destination]
    if not since or tonumber(since) + idle <= now or state == HELD
      or order and not string.find(
        "," .. string.gsub(order, "|", ",") .. ",", "," .. shelf .. ",", 1, true
      )
    then
      return nil
    end
  end
  local key = free .. (state == HELD and QUARANTINE or shelf)
  local released_at = redis.call("ZSCORE", key, number)
  if not released_at or theirs and tonumber(released_at) + window <= now then
    return nil
  end
  redis.call("ZREM", key, number)
  return number, released_at
end

-- A lease for one destination that cannot be renewed: the number this visitor had, or a free one.
-- Returns why, the number and when it was released; without a number, why not, nil and how long
-- to wait, ms.
local looked = false
local rows = (#ARGV - first_row + 1) / 2
local function find(destination, previous)
  if refusal ~= "" then
    return refusal
  end
  local wait = limited_for and limited_for(now) or 0
  if wait > 0 then
    return "rate_limited", nil, wait
  end
  if make_room and not looked then
    looked = true
    -- With shelves, an expired lease may hide a better number than the free ones.
    make_room(matching and 64 or 2 * rows + 2, 2 * rows + 2)
  end
  if is_reserved and entitled ~= "1" and is_reserved() then
    make_room(64, 0)
    if is_reserved() then
      return "reserved"
    end
  end
  local number, released_at
  if claims[destination] then
    number, released_at = take_back(claims[destination].number, destination)
  end
  if not number and previous ~= "" then
    number, released_at = take_back(previous, destination)
  end
  if number then
    return "returned", number, released_at
  end
  local order = matching and order_of[destination] or "any"
  number, released_at = pick(order)
  if not number and make_room then
    -- Expired leases of other shelves may have hidden one of these: look again, further.
    make_room(64, 64)
    number, released_at = pick(order)
  end
  if not number then
    return order == "" and "unmatched" or "exhausted"
  end
  return "new", number, released_at
end

local changed = false
for at = next_row, #ARGV, 2 do
  local destination = ARGV[at]
  local claim = claims[destination]
  if claim and claim.deadline then
    answer_leased("renewed", claim)
  else
    local reason, number, released_at = find(destination, ARGV[at + 1])
    if number then
      if not claim then
        claimed[#claimed + 1] = destination
      end
      -- The former holder moves to the history of the number, and forgets the number. A visitor
      -- who had it last themselves, and tells nothing now, is known by what they told then.
      local packed, known = redis.call("HGET", holders, number), data
      if packed then
        local owner, its_destination, _, its_fence, its_data = unpack_holder(packed)
        if owner ~= visitor_id then
          drop_claim(visitors .. owner, its_destination, number, its_fence)
        end
        if tonumber(released_at) + window > now then
          remember_holder(number, released_at, packed, window, now)
          known = data == "" and owner == visitor_id and its_data or data
        end
      end
      local fence = tostring(redis.call("HINCRBY", conf, "fence", 1))
      local deadline = lock_until(now, now, span)
      local holder = pack_holder(visitor_id, destination, now_text, fence, known)
      redis.call("HSET", holders, number, holder)
      if redis.call("ZADD", leased, deadline, number) == 0 then
        redis.call("HINCRBY", stats, "conflicts", 1) -- it lay on a shelf while it was leased
      end
      if not earliest or earliest > deadline then
        redis.call("ZADD", due, "LT", deadline, pool_id) -- else it is due by then already
      end
      redis.call("XADD", events, "*", "t", "number.assigned", "p", pool_id, "n", number,
        "v", visitor_id, "d", destination, "f", fence, "w", now, "r", reason,
        "g", released_at, "x", known)
      if reason ~= "new" then
        redis.call("HINCRBY", stats, reason, 1) -- new ones are the other leases: the fence
      end
      if charge_lease then
        charge_lease(number, fence, now)
      end
      local _, _, national, international = unpack_number(redis.call("HGET", numbers, number))
      claim = {
        number = number, fence = fence, national = national, international = international,
        deadline = deadline,
      }
      claims[destination] = claim
      changed, holds_a_lease = true, true
      answer_leased(reason, claim)
    else
      -- What the page shows then. Each visitor, or each kind of refusal, is counted.
      local wait = released_at
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
          -- The last visitors who were shown it, newest first, each once.
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
        answer("overflow", reason, overflow, "", retry_at, "", "")
      else
        if a_visitor then
          redis.call("HINCRBY", stats, "turned_away", 1)
        end
        answer("none", reason, "", "", retry_at, "", "")
      end
    end
  end
end

local lines
if changed then
  lines = ""
  for _, destination in ipairs(claimed) do
    local claim = claims[destination]
    lines = lines
      .. pack_claim(destination, claim.number, claim.fence, claim.national, claim.international)
  end
end
if holds_a_lease then
  open_page(page_id, now, record[2], lines)
end
return reply
