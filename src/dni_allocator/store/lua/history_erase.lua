-- Erase a visitor from the histories of some numbers of a pool.
-- Replies: {OK, entries erased}. Idempotent. O(rows): a history has at most eight entries.
local past       = KEYS[1]     -- prefix of LIST of earlier holders, by number
local visitor_id = ARGV[1]     -- id of the visitor
-- rows          = ARGV[2...]  -- number

--@include lib/forgetting

local erased = 0
for at = 2, #ARGV do
  erased = erased + forget_history(past .. ARGV[at], visitor_id)
end
return {"OK", tostring(erased)}
