-- What wrk sends: the requests that full-load.ts writes to its standard input, each once. wrk itself knows no number of
-- requests, only a time: when all are answered it says so, and full-load.ts ends it.
-- https://github.com/wg/wrk/blob/master/SCRIPTING

local requests = {}
local connections = 0
local sent = 0
local resting = 0
local is_looked_at = false

-- args: how many requests, how many connections. Each request comes after its length, eight hexadecimal digits.
function init(args)
  connections = tonumber(args[2])
  for i = 1, tonumber(args[1]) do
    requests[i] = io.read(tonumber(io.read(8), 16))
  end
end

function request()
  -- Before it starts, wrk asks for one to look at, and does not send it.
  if not is_looked_at then
    is_looked_at = true
    return requests[1]
  end
  if sent < #requests then
    sent = sent + 1
    return requests[sent]
  end
  -- This connection has got its last answer. Of nothing that is sent, no answer comes.
  resting = resting + 1
  if resting == connections then
    io.write("answered\n")
    io.flush()
    wrk.thread:stop()
  end
  return ""
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"answered":%d,"failed":%d,"seconds":%.6f,"p50Ms":%.3f,"p99Ms":%.3f}\n',
    summary.requests,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    summary.duration / 1e6,
    latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3
  ))
end
