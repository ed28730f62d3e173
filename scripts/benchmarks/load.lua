-- Sends prepared requests: heads of one length from a file, one after another from an offset, and a constant body.
-- With a rate, requests leave on a timetable that all connections share, whenever the answers come.
local ffi = require("ffi")
ffi.cdef("typedef struct { long seconds, nanoseconds; } moment; int clock_gettime(int clock, moment *now);")

local heads, size, count, body, index, rate, sent, began

local function now()
  local moment = ffi.new("moment")
  ffi.C.clock_gettime(1, moment)
  return tonumber(moment.seconds) + tonumber(moment.nanoseconds) / 1e9
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  heads = file:read("*a")
  file:close()
  size, count = tonumber(args[2]), tonumber(args[3])
  index = tonumber(args[4]) - 1 -- wrk asks for one request that it only looks at
  body = string.rep("x", tonumber(args[5]))
  rate, sent = tonumber(args[6]), 0
  if rate > 0 then
    delay = function() -- milliseconds until the next free place on the timetable
      began = began or now()
      sent = sent + 1
      return math.max(0, math.floor((began + sent / rate - now()) * 1000))
    end
  end
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
