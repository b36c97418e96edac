-- wrk's script: POST one body after the other, count answers that are not as expected.
-- wrk -t1 -c32 -d5s -s closed_loop.lua http://127.0.0.1:PORT/PATH -- BODIES EXPECTED

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  bodies, at, failed, odd = {}, 0, 0, ""
  for line in io.lines(arguments[1]) do
    table.insert(bodies, wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, line))
  end
  expected = arguments[2] or ""
end

function request()
  at = at % #bodies + 1
  return bodies[at]
end

function response(status, _, body)
  if status ~= 200 or not body:find(expected, 1, true) then
    failed = failed + 1
    if odd == "" then
      odd = status .. " " .. body:sub(1, 500)
    end
  end
end

function done(summary)
  local failed, odd = threads[1]:get("failed"), threads[1]:get("odd")
  local errors = summary.errors
  failed = failed + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("\n%d %d %d\n%s\n", summary.requests, failed, summary.duration, odd))
end
