-- Sends prepared requests: heads of one length from a file, one after another from an offset, and a constant body.
local heads, size, count, body, index

function init(args)
  local file = assert(io.open(args[1], "rb"))
  heads = file:read("*a")
  file:close()
  size, count = tonumber(args[2]), tonumber(args[3])
  index = tonumber(args[4]) - 1 -- wrk asks for one request that it only looks at
  body = string.rep("x", tonumber(args[5]))
end

function request()
  local at = (index % count) * size
  index = index + 1
  return heads:sub(at + 1, at + size) .. body
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "microseconds": %d, "bytes": %d, "p50_us": %d, "p99_us": %d, "bad_status": %d, "broken": %d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
