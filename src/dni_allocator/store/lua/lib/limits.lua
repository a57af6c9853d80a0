-- How often, and how many, one network and one visitor may lease. Only new leases count: who has a
-- number renews it free of charge. Rates by GCRA (ITU-T I.371): one stored instant, the theoretical
-- arrival time, may run ahead of the clock by a burst.
--@needs limits visitor_id address leased holders
--@include lib/policy
--@include lib/records

-- Not made for pools that have no rules: the script runs at every page view.
local wait_for, leases_of_network, limited_for, charge_lease
if policy ~= "" then
  local DAY = 86400000 -- ms

  -- The stored arrival. One that is further ahead than a burst is from before the clock went back.
  local function arrival_of(key, interval, burst, now)
    local arrival = tonumber(redis.call("GET", key) or "0")
    return arrival <= now + interval * burst and arrival or 0
  end

  -- The ms to wait until one more fits, 0 if it does now.
  function wait_for(key, interval, burst, now)
    if interval == 0 then
      return 0
    end
    return math.max(0, arrival_of(key, interval, burst, now) - now - interval * (burst - 1))
  end

  local function charge(key, interval, burst, now)
    if interval == 0 then
      return
    end
    local arrival = math.max(now, arrival_of(key, interval, burst, now)) + interval
    redis.call("SET", key, string.format("%.0f", arrival), "PX", math.ceil(arrival - now))
  end

  -- The live leases of the network, and the members of its list that are over.
  function leases_of_network(now)
    local live, over = 0, {}
    for _, member in ipairs(redis.call("SMEMBERS", limits .. "l:" .. address)) do
      local number, fence = string.match(member, "^(.*) (.*)$")
      local deadline = redis.call("ZSCORE", leased, number)
      local packed = deadline and tonumber(deadline) > now and redis.call("HGET", holders, number)
      local _, _, _, its_fence = unpack_holder(packed or "")
      if its_fence == fence then
        live = live + 1
      else
        over[#over + 1] = member
      end
    end
    return live, over
  end

  -- Whether the network holds as many live leases as it may. Those that are over are struck off.
  local function at_cap(now)
    local key = limits .. "l:" .. address
    if redis.call("SCARD", key) < address_cap then
      return false
    end
    local live, over = leases_of_network(now)
    for _, member in ipairs(over) do
      redis.call("SREM", key, member)
    end
    return live >= address_cap
  end

  -- The ms a visitor of this network has to wait for a new lease; 0: none, it may have one now.
  function limited_for(now)
    local wait = wait_for(limits .. "v:" .. visitor_id, visitor_interval, visitor_burst, now)
    if address ~= "" then
      local key = limits .. "a:" .. address
      wait = math.max(wait, wait_for(key, address_interval, address_burst, now))
      if wait == 0 and address_cap > 0 and at_cap(now) then
        wait = 1000 -- until one of them ends, which nobody can foretell
      end
    end
    return wait
  end

  function charge_lease(number, fence, now)
    charge(limits .. "v:" .. visitor_id, visitor_interval, visitor_burst, now)
    if address ~= "" then
      charge(limits .. "a:" .. address, address_interval, address_burst, now)
      if address_cap > 0 then
        redis.call("SADD", limits .. "l:" .. address, number .. " " .. fence)
        redis.call("PEXPIRE", limits .. "l:" .. address, DAY)
      end
    end
  end
end
