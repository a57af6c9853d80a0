-- Note delivery attempts: the newest are kept, for some days.
-- Replies: {OK}. A second run notes the attempts twice. O(rows).
local log      = KEYS[1]   -- STREAM of attempts of one endpoint in this shard
local keep     = ARGV[1]   -- how many to keep, give or take a stream node
local keep_for = ARGV[2]   -- ms without an attempt after which all go
-- rows        = ARGV[3...] -- one attempt each, JSON

-- Also when the server's memory is full (lib/full): a write that changes nothing comes first.
redis.call("XDEL", log, "0-0")
for at = 3, #ARGV do
  redis.call("XADD", log, "MAXLEN", "~", keep, "*", "a", ARGV[at])
end
redis.call("PEXPIRE", log, keep_for)
return {"OK"}
