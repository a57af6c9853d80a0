-- Nothing is decided by settings that have been replaced: the caller's revision of the pool is
-- compared first, and the script ends here, before anything is written, when it is another.
--@needs conf rev

local current_rev = redis.call("HGET", conf, "rev")
if not current_rev then
  return {"GONE"}
end
if current_rev ~= rev then
  return {"STALE"}
end
