-- A visitor's claims: field `l` of their hash, one line for each lease they have, or had last for
-- its destination: destination, number, fence, national, international. (The last two are those
-- of the number, so that a renewal need not look them up.) One field, so that one read of it does
-- not read all open pages too.

-- For each line: destination, number, fence, national, international.
local function claims_in(lines)
  return string.gmatch(lines, "([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\n]*)\n")
end
