-- A pool that runs full: silent leases give way sooner, and a share is kept for some visitors.
--@needs leased holders numbers free visitors visitor_id idle
--@include lib/load
--@include lib/ending

local give_way, only_reserved_left -- only where there are rules, see lib/limits
if policy ~= "" then
  -- End up to `limit` leases that give way. A lease whose pages beat is renewed long before that,
  -- so visible pages stay, hidden and silent ones go; those of closed browsers have the nearest
  -- deadlines and go first.
  function give_way(now, limit, window)
    for _, number in ipairs(who_gives_way(now, limit, occupancy())) do
      end_lease(number, tostring(now), "pressure", window)
    end
  end

  -- Whether the free numbers left are kept for visitors whom the reserve is for.
  function only_reserved_left()
    if reserve == 0 then
      return false
    end
    local circulating, held = occupancy()
    return circulating - held <= kept_of(circulating)
  end
end
