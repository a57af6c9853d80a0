-- The pools of a shard that have something to sweep now; and a note of which server is asked. One
-- that took over, or was started again, may lack what was answered last: `assign` asks for that.
-- Replies: {OK, now, pool…}. Idempotent. O(log pools + limit).
local due       = KEYS[1]    -- ZSET pool -> lower bound of its next deadline, ms
local given_now = ARGV[1]    -- ms, or empty: Redis TIME
local limit     = ARGV[2]    -- most pools to name

--@include lib/clock

local now, now_text = clock(given_now)
local server = due .. ":server" -- HASH `id` of the server that was seen last, `since` when, ms
-- Refused to some users; then nothing is noted.
local told = redis.pcall("INFO", "server")
local id = type(told) == "string" and string.match(told, "run_id:(%x+)")
if id then
  local known = redis.call("HGET", server, "id")
  if known ~= id then
    -- Also when the server's memory is full (lib/full): a write that changes nothing comes first.
    redis.call("HDEL", server, "")
    redis.call("HSET", server, "id", id, "since", known and now_text or "0")
  end
end
local reply = redis.call("ZRANGEBYSCORE", due, "-inf", now, "LIMIT", 0, limit)
table.insert(reply, 1, tostring(now))
table.insert(reply, 1, "OK")
return reply
