-- Packed records. Tab separated; no field but the last may hold a tab (checked at the edge).
--   holder: visitor, destination, from ms, fence, data (JSON text, kept as it came)
--   number: shelf, state (empty, `draining`, `quarantined` or `held`), national, international (empty
--           where it follows from the national one), facts (JSON text)
local function pack_holder(visitor, destination, from, fence, data)
  return visitor .. "\t" .. destination .. "\t" .. from .. "\t" .. fence .. "\t" .. data
end

local function unpack_holder(packed)
  return string.match(packed, "^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$")
end

local function unpack_number(packed)
  return string.match(packed, "^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$")
end
