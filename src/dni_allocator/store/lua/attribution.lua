-- Everything known about one number at one instant, unranked.
-- Replies: {OK, now, state, deadline, released at, closed at, holder, past holder…}; state
--          `free`, `leased`, `shared` (no inventory: an overflow number) or `detached`; what does
--          not apply is empty. {GONE}: no such pool.
-- Reads only. O(1).
local conf      = KEYS[1]    -- HASH of the pool
local numbers   = KEYS[2]    -- HASH number -> packed number
local leased    = KEYS[3]    -- ZSET number -> deadline, ms
local holders   = KEYS[4]    -- HASH number -> packed holder
local free      = KEYS[5]    -- prefix of ZSET number -> released at, ms, by shelf
local history   = KEYS[6]    -- LIST of earlier holders of this number
local visitors  = KEYS[7]    -- prefix of the visitors' hashes
local given_now = ARGV[1]    -- ms, or empty: Redis TIME
local number    = ARGV[2]    -- E.164

--@include lib/clock
--@include lib/resting

if redis.call("EXISTS", conf) == 0 then
  return {"GONE"}
end
local now = clock(given_now)
local state, deadline, released_at, closed_at = "detached", "", "", ""
local holder = redis.call("HGET", holders, number) or ""
local stored = redis.call("HGET", numbers, number)
if stored then
  deadline = redis.call("ZSCORE", leased, number) or ""
  if deadline ~= "" then
    state = "leased"
    closed_at = redis.call("HGET", visitors .. unpack_holder(holder), "c") or ""
  else
    state = "free"
    released_at = redis.call("ZSCORE", free .. shelf_of_free(stored), number) or ""
  end
end
local reply = {"OK", tostring(now), state, deadline, released_at, closed_at, holder}
for _, entry in ipairs(redis.call("LRANGE", history, 0, 7)) do
  reply[#reply + 1] = entry
end
return reply
