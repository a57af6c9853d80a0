-- What became of deliveries, in one step: the position moves on, failures are parked, the rest is
-- forgotten.
-- Replies: {OK}; {LOST}: another forwarder serves this endpoint, nothing was written;
--          {GONE}: the endpoint was deleted, nothing was written.
-- Idempotent (a second run puts a retry off by the time that passed). O(rows).
local lock         = KEYS[1]   -- STRING with a TTL: token of the forwarder
local cursors      = KEYS[2]   -- HASH endpoint -> position; `~` before it: suspended
local retries      = KEYS[3]   -- ZSET entry -> due at, ms
local dead_letters = KEYS[4]   -- ZSET entry -> dead since, ms
local parked       = KEYS[5]   -- HASH entry -> copy of the event
local health       = KEYS[6]   -- HASH `taken`, `since`, `failed` -> last success, first, last failure
local given_now    = ARGV[1]   -- ms, or empty: Redis TIME
local token        = ARGV[2]   -- token of the caller
local endpoint     = ARGV[3]   -- id of the endpoint
local position     = ARGV[4]   -- all up to this entry are settled; empty: as it was
local heard        = ARGV[5]   -- taken | failed: how the endpoint did lately; empty: not asked
-- rows            = ARGV[6...] -- entry, taken | retry | dead, delay in ms, copy of the event (JSON)

--@include lib/clock
--@include lib/entry_ids

if redis.call("GET", lock) ~= token then
  return {"LOST"}
end
local current = redis.call("HGET", cursors, endpoint)
if not current then
  return {"GONE"}
end
local now = clock(given_now)
-- Also when the server's memory is full (lib/full): a write that changes nothing comes first.
redis.call("HDEL", cursors, "")
for at = 6, #ARGV, 4 do
  local entry, outcome, delay, copy = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if outcome == "taken" then
    redis.call("ZREM", retries, entry)
    redis.call("HDEL", parked, entry)
  elseif outcome == "retry" then
    redis.call("HSET", parked, entry, copy)
    redis.call("ZADD", retries, now + tonumber(delay), entry)
  elseif outcome == "dead" then
    redis.call("HSET", parked, entry, copy)
    redis.call("ZREM", retries, entry)
    redis.call("ZADD", dead_letters, "NX", now, entry)
  end
end
if heard == "taken" then
  redis.call("HSET", health, "taken", now)
  redis.call("HDEL", health, "since", "failed")
elseif heard == "failed" then
  redis.call("HSETNX", health, "since", now)
  redis.call("HSET", health, "failed", now)
end
if position ~= "" then
  local suspended, reached = string.match(current, "^(~?)(.*)$")
  -- Only forward: a late second run must not undo what was settled after the first.
  if id_before(reached, position) then
    redis.call("HSET", cursors, endpoint, suspended .. position)
  end
end
return {"OK"}
