-- How full a pool is, and what follows from it. The rule: above `threshold` (leased share of the
-- numbers in circulation) the idle limit shortens in a straight line, from the full one at the
-- threshold to `pressed_idle` when all are leased.
--@needs leased holders numbers free visitors visitor_id idle
--@include lib/states
--@include lib/policy
--@include lib/records

-- Only where there are rules, see lib/limits.
local occupancy, idle_under, who_gives_way, kept_of
if policy ~= "" then
  -- Numbers in circulation (in the pool and not in quarantine), and how many of them are leased.
  function occupancy()
    local circulating = redis.call("HLEN", numbers) - redis.call("ZCARD", free .. QUARANTINE)
    return circulating, redis.call("ZCARD", leased)
  end

  -- The idle limit in force while so many are leased, ms.
  function idle_under(circulating, held)
    if threshold == 0 then
      return idle
    end
    local share = circulating > 0 and math.min(1, held / circulating) or 1
    if share <= threshold and share < 1 then
      return idle
    end
    local over = threshold < 1 and (share - threshold) / (1 - threshold) or 1
    return math.floor(idle - (idle - math.min(idle, pressed_idle)) * over)
  end

  -- Whether a live lease may give way at all: not to its own visitor, not within its minimum hold,
  -- and only if its deadline tells how long it has been silent. It does not where the lease is on
  -- trial, which makes it short, or near its maximum age.
  local function may_give_way(number, deadline, now)
    local owner, _, from = unpack_holder(redis.call("HGET", holders, number))
    from = tonumber(from)
    local on_trial = provisional > 0 and not redis.call("HGET", visitors .. owner, "h")
    local held_by_rule = hold > 0 and from + hold > now
    local ends_by_age = max_age > 0 and from + max_age <= tonumber(deadline)
    return owner ~= visitor_id and not on_trial and not held_by_rule and not ends_by_age
  end

  -- The leases that give way when a number is needed: live ones that have been silent for longer
  -- than the limit in force, the longest silence first, `limit` at most. Each that goes makes the
  -- pool less full, so that the limit lengthens for the next. `gone`: set of those that went before
  -- and are not among the `held`.
  local MOST_LOOKED_AT = 512
  function who_gives_way(now, limit, circulating, held, gone)
    local going, looked_at = {}, 0
    local cut = idle - idle_under(circulating, held)
    while cut > 0 and #going < limit and looked_at < MOST_LOOKED_AT do
      local found = redis.call(
        "ZRANGEBYSCORE", leased, "(" .. now, now + cut, "WITHSCORES", "LIMIT", looked_at, limit
      )
      if #found == 0 then
        break
      end
      looked_at = looked_at + #found / 2
      for i = 1, #found, 2 do
        if #going == limit or tonumber(found[i + 1]) > now + cut then
          return going
        end
        if not (gone and gone[found[i]]) and may_give_way(found[i], found[i + 1], now) then
          going[#going + 1] = found[i]
          cut = idle - idle_under(circulating, held - #going)
        end
      end
    end
    return going
  end

  -- How many free numbers are kept for the visitors whom the reserve is for: a share, rounded up,
  -- but not for what binary fractions are off (0.07 of 100 is a little more than 7).
  function kept_of(circulating)
    return math.max(0, math.ceil(reserve * circulating - 1e-6))
  end
end
