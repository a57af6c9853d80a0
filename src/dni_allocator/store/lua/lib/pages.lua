-- A visitor's open pages: fields `p:<page>` -> last sign of life, ms; `c` -> when the last page
-- closed, ms, empty while one is open; `x` -> when the record expires, ms.
--@needs visitor idle window
--@include lib/policy

local MOST_PAGES = 64 -- a visitor's record stays small whatever a script on the page does
local SPARE = 600000   -- ms, how much longer than needed a TTL is set

-- The page is open and alive; `claims`, if given, are the visitor's new ones (lib/claims), and
-- `expires_at` is field `x` of their record, false where there is none yet.
-- The TTL only collects garbage: whether a lease lives is decided by its deadline and owner. It is
-- set longer than needed, so that most signs of life need not write it again.
local function open_page(page, now, expires_at, claims)
  local lifetime = math.max(idle, hold) + window -- no lease may outlive it
  local known, expiring = expires_at, not expires_at or tonumber(expires_at) < now + lifetime
  if expiring then
    expires_at = now + lifetime + SPARE
  end
  local added
  if claims then
    added = redis.call(
      "HSET", visitor, "p:" .. page, now, "c", "", "x", expires_at, "l", claims
    )
  elseif expiring then
    added = redis.call("HSET", visitor, "p:" .. page, now, "c", "", "x", expires_at)
  else
    added = redis.call("HSET", visitor, "p:" .. page, now, "c", "")
  end
  if expiring then
    redis.call("PEXPIRE", visitor, lifetime + SPARE)
  end
  if known and added > 0 and redis.call("HLEN", visitor) > MOST_PAGES then
    -- Forget the pages that have been silent for the idle limit; then, above the limit, the oldest.
    local fields = redis.call("HGETALL", visitor)
    local pages = {}
    for i = 1, #fields, 2 do
      if string.sub(fields[i], 1, 2) == "p:" then
        pages[#pages + 1] = {fields[i], tonumber(fields[i + 1])}
      end
    end
    table.sort(pages, function(a, b) return a[2] > b[2] end)
    for rank, each in ipairs(pages) do
      if rank > MOST_PAGES / 2 or each[2] + idle <= now then
        redis.call("HDEL", visitor, each[1])
      end
    end
  end
end
