-- wrk script: POST the file BODY with the headers of HEADERS ("Name: value" lines), print one line of JSON.
local file = assert(io.open(os.getenv("BODY"), "rb"))
wrk.method, wrk.body = "POST", file:read("*a")
file:close()
wrk.headers["Content-Type"] = "application/json"
for name, value in (os.getenv("HEADERS") or ""):gmatch("([^:\n]+): ([^\n]+)") do
  wrk.headers[name] = value
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('{"rps": %.1f, "p50": %.3f, "p99": %.3f, "errors": %d}\n', summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
