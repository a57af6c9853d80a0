-- Entry ids of a stream, `<ms>-<sequence>`: compared as pairs of integers, never as text.

local function id_parts(id)
  local ms, sequence = string.match(id, "^(%d+)-(%d+)$")
  return tonumber(ms), tonumber(sequence)
end

local function id_before(one, other)
  local one_ms, one_sequence = id_parts(one)
  local other_ms, other_sequence = id_parts(other)
  return one_ms < other_ms or (one_ms == other_ms and one_sequence < other_sequence)
end

-- The smallest id above `id`.
local function id_after(id)
  local ms, sequence = id_parts(id)
  return string.format("%.0f-%.0f", ms, sequence + 1)
end
