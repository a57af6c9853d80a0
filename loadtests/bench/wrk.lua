-- What wrk sends: `loadtests.bench.traffic` in Lua. One argument: the request, as a Lua table.
-- The request is cut at its placeholders once, so that wrk itself costs little for each.
local spec, counter, fresh, pieces, holes

local function values(index, visitor)
  return {
    v = visitor,
    p = string.format("page%018d", index % 4),
    n = string.format("%07d", 2000000 + index % spec.known),
    k = string.format("%07d", index % spec.spread),
  }
end

local function whole_request()
  -- Every value has a fixed length, so the length of one body is that of all.
  local example = string.gsub(spec.body, "{([vpnk])}", values(0, string.rep("x", 22)))
  local lines = {spec.method .. " " .. spec.path .. " HTTP/1.1", "Host: " .. wrk.headers["Host"]}
  for name, value in pairs(spec.headers) do
    lines[#lines + 1] = name .. ": " .. value
  end
  lines[#lines + 1] = "Content-Length: " .. #example
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. spec.body
end

function init(args)
  spec = loadstring("return " .. args[1])()
  counter, fresh, pieces, holes = 0, 0, {}, {}
  local text, at = whole_request(), 1
  while true do
    local first, last, name = string.find(text, "{([vpnk])}", at)
    pieces[#pieces + 1] = string.sub(text, at, (first or 0) - 1)
    if not first then
      break
    end
    holes[#pieces + 1] = name
    pieces[#pieces + 1] = ""
    at = last + 1
  end
end

function request()
  counter = counter + 1
  local visitor
  if spec.new_every > 0 and counter % spec.new_every == 0 then
    fresh = fresh + 1
    visitor = string.format("%s%014d", spec.run, fresh)
  else
    visitor = string.format("known%017d", counter % spec.known)
  end
  local given = values(counter, visitor)
  for at, name in pairs(holes) do
    pieces[at] = given[name]
  end
  return table.concat(pieces)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nresult {"done":%d,"seconds":%.6f,"errors":%d,"p50_ms":%.4f,"p99_ms":%.4f}\n',
    summary.requests, summary.duration / 1e6,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
