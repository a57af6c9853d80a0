-- Erase a visitor from a pool: their live leases end, and their record, their limits and what they
-- hold or held last go. Holders are looked through in parts; run on with the cursor of the reply.
-- The first run (cursor 0) takes all that the visitor's own record names, in one step. What the
-- history of numbers says of them goes by `history_erase`.
-- Replies: {MORE or DONE, cursor, leases ended, holders erased}; {GONE}: no such pool.
-- Idempotent. O(claims + part of the holders).
local conf       = KEYS[1]              -- HASH of the pool
local leased     = KEYS[2]              -- ZSET number -> deadline, ms
local holders    = KEYS[3]              -- HASH number -> packed holder
local numbers    = KEYS[4]              -- HASH number -> packed number
local shelves    = KEYS[5]              -- HASH shelf -> numbers attached
local visitor    = KEYS[6]              -- HASH of this visitor
local stats      = KEYS[7]              -- HASH of counters
local events     = KEYS[8]              -- STREAM, the outbox of the shard
local due        = KEYS[9]              -- ZSET pool -> lower bound of its next deadline, ms
local drained    = KEYS[10]             -- SET of numbers that left when their lease ended
local limit      = KEYS[11]             -- STRING, the visitor's rate limit
local free       = KEYS[12]             -- prefix of ZSET number -> released at, ms, by shelf
local past       = KEYS[13]             -- prefix of LIST of earlier holders, by number
local visitors   = KEYS[14]             -- prefix of the visitors' hashes
local places     = KEYS[15]             -- HASH shelf -> its place, JSON text
local orders     = KEYS[16]             -- HASH destination -> shelves, best first
local given_now  = ARGV[1]              -- ms, or empty: Redis TIME
local pool_id    = ARGV[2]              -- id of the pool
local visitor_id = ARGV[3]              -- id of the visitor
local window     = tonumber(ARGV[4])    -- attribution window, ms
local policy     = ARGV[5]              -- further rules of the pool (lib/policy), or empty
local cursor     = ARGV[6]              -- where to go on; 0: begin
local count      = ARGV[7]              -- how many holders to look at, about

--@include lib/clock
--@include lib/ending
--@include lib/claims
--@include lib/forgetting

if redis.call("EXISTS", conf) == 0 then
  redis.call("DEL", visitor, limit)
  return {"GONE"}
end
local now = clock(given_now)
-- Also when the server's memory is full (lib/full): a write that changes nothing comes first.
redis.call("HDEL", conf, "")
local ended, erased = 0, 0

local function erase(number)
  local packed = redis.call("HGET", holders, number)
  local owner, destination, from, fence = unpack_holder(packed or "")
  if owner ~= visitor_id then
    return
  end
  local deadline = redis.call("ZSCORE", leased, number)
  if deadline then
    -- The end is told without what the page told: who reads the event is about to erase it anyway.
    redis.call("HSET", holders, number, pack_holder(owner, destination, from, fence, ""))
    end_lease(number, tostring(math.min(now, tonumber(deadline))), "erased", window)
    forget_history(past .. number, visitor_id)
    ended = ended + 1
  end
  redis.call("HDEL", holders, number)
  erased = erased + 1
end

if cursor == "0" then
  for _, number in claims_in(redis.call("HGET", visitor, "l") or "") do
    erase(number)
    forget_history(past .. number, visitor_id)
  end
  redis.call("DEL", visitor, limit)
end
local part = redis.call("HSCAN", holders, cursor, "COUNT", count)
for i = 1, #part[2], 2 do
  erase(part[2][i])
end
return {part[1] == "0" and "DONE" or "MORE", part[1], tostring(ended), tostring(erased)}
